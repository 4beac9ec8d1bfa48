// Zoom and pan, the same for both panes: where cell (0, 0) lies and how large a cell is, in CSS pixels.

import { byId } from "./dom.js";
import { emit, on, state } from "./state.js";

const MARGIN = 14;
const LARGEST = 48;

export const view = { scale: 1, x: 0, y: 0 };
let fitted = true; // follow the pane's size

const pane = () => byId("layout-canvas");

export const toCell = (x, y) => [(x - view.x) / view.scale, (y - view.y) / view.scale];

function fitScale() {
  const { clientWidth, clientHeight } = pane();
  const scale = Math.min(
    (clientWidth - 2 * MARGIN) / state.layout.width,
    (clientHeight - 2 * MARGIN) / state.layout.height,
  );
  return Math.max(scale, 0.05);
}

export function fit() {
  if (!state.layout) return;
  view.scale = fitScale();
  view.x = (pane().clientWidth - state.layout.width * view.scale) / 2;
  view.y = (pane().clientHeight - state.layout.height * view.scale) / 2;
  fitted = true;
  emit("redraw");
}

/** Zooms by a factor; the point (x, y) of the pane stays where it is. */
export function zoom(factor, x = pane().clientWidth / 2, y = pane().clientHeight / 2) {
  const scale = Math.min(LARGEST, Math.max(fitScale() / 2, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  moved();
}

export function pan(dx, dy) {
  view.x += dx;
  view.y += dy;
  moved();
}

function moved() {
  fitted = false;
  // Some of the layout always stays in sight.
  const keep = 40;
  const { clientWidth, clientHeight } = pane();
  view.x = Math.min(clientWidth - keep, Math.max(keep - state.layout.width * view.scale, view.x));
  view.y = Math.min(clientHeight - keep, Math.max(keep - state.layout.height * view.scale, view.y));
  emit("redraw");
}

/** Scrolls so that a cell is in sight. */
export function reveal(cellX, cellY) {
  const { clientWidth, clientHeight } = pane();
  const [x, y] = [view.x + cellX * view.scale, view.y + cellY * view.scale];
  const beyond = (value, size) => Math.min(0, size - 20 - value) || Math.max(0, 20 - value);
  const [dx, dy] = [beyond(x, clientWidth), beyond(y, clientHeight)];
  if (dx || dy) pan(dx, dy);
}

let shownSize = "";
on("layout", (layout) => {
  if (!layout) return;
  const size = `${layout.width}×${layout.height}`;
  if (size !== shownSize) fit();
  shownSize = size;
});

new ResizeObserver(() => (fitted ? fit() : emit("redraw"))).observe(pane());

byId("zoom-in").addEventListener("click", () => zoom(1.4));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
byId("zoom-fit").addEventListener("click", fit);
