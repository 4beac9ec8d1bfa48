// Painting without a pointer: arrows move, Space held or Enter toggled is the pressed button.

import { announce, byId } from "./dom.js";
import { isEditing } from "./editing.js";
import { nameOf } from "./picture.js";
import { on, set, state } from "./state.js";
import { abandon, closePolygon, dropCorner, outline, tools } from "./tools.js";
import { reveal } from "./view.js";

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const canvas = byId("layout-canvas");
let place = null; // the cell's centre
let down = false;

function start() {
  const { width, height } = state.layout;
  if (!place || !state.layout.contains(...place)) place = [Math.floor(width / 2) + 0.5, Math.floor(height / 2) + 0.5];
  return place;
}

function step([dx, dy], far) {
  const [x, y] = start();
  const reach = far ? 8 : 1;
  const inside = (value, size) => Math.min(size - 0.5, Math.max(0.5, value));
  place = [inside(x + dx * reach, state.layout.width), inside(y + dy * reach, state.layout.height)];
  set({ cursor: place });
  reveal(...place);
  if (down) tools[state.tool].move?.(...place);
  else describe();
}

function describe() {
  const [x, y] = place.map(Math.floor);
  announce(`${x}, ${y}: ${nameOf(state.layout.at(x, y))}`);
}

function press() {
  if (down || isEditing()) return;
  down = true;
  set({ cursor: start() });
  tools[state.tool].press?.(...place);
  if (state.tool === "polygon") announce(`Corner ${outline.length}`);
}

function lift() {
  if (!down) return;
  down = false;
  if (isEditing()) tools[state.tool].release?.();
}

function pressed(event) {
  if (!state.layout || event.ctrlKey || event.metaKey || event.altKey) return;
  const direction = STEPS[event.key];
  if (direction) step(direction, event.shiftKey);
  else if (event.key === " ") press();
  else if (event.key === "Enter" && state.tool === "polygon") closePolygon();
  else if (event.key === "Enter") down ? lift() : press();
  else if (event.key === "Backspace" && outline.length) dropCorner();
  else if (event.key === "Escape") abandon();
  else return;
  event.preventDefault();
}

canvas.addEventListener("keydown", pressed);
canvas.addEventListener("keyup", (event) => event.key === " " && lift());
canvas.addEventListener("focus", () => state.layout && canvas.matches(":focus-visible") && set({ cursor: start() }));
canvas.addEventListener("blur", () => {
  lift();
  set({ cursor: null });
});
canvas.addEventListener("pointerdown", () => (place = null));
addEventListener("pointerdown", lift, { capture: true }); // before the pointer begins a step of its own
on("abandoned", () => (down = false));
