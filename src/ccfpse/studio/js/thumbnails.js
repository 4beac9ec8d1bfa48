// A small photo for each style of the strip, drawn when nothing else is to be done.

import * as api from "./api.js";
import { emit, on, state } from "./state.js";

const QUIET = 350; // ms after the last photo

let timer = null;
let controller = null;

function stop() {
  clearTimeout(timer);
  controller?.abort();
  controller = null;
}

function outdated() {
  for (const style of state.styles) style.stale = true;
}

function later() {
  stop();
  timer = setTimeout(fill, QUIET);
}

/** Draws what is missing, one by one, so that a stroke never waits for more than one of them. */
async function fill() {
  if (!state.layout) return; // another model is on its way
  const mine = new AbortController();
  controller = mine;
  const layout = small(state.layout);
  for (const style of state.styles.filter(({ stale }) => stale)) {
    try {
      const blob = await api.generate(state.model, layout, [style.vector], mine.signal);
      if (controller !== mine) return;
      if (style.thumbnail) URL.revokeObjectURL(style.thumbnail);
      Object.assign(style, { thumbnail: URL.createObjectURL(blob), stale: false });
      emit("thumbnail", style);
    } catch (error) {
      if (error.name !== "AbortError" && controller === mine) timer = setTimeout(fill, 2000);
      return;
    }
  }
}

/** The layout, or a smaller one where it is larger than what the model was trained at. */
function small(layout) {
  const { width, height, size_multiple: multiple } = state.model;
  const scale = Math.max(layout.width / width, layout.height / height);
  if (scale <= 1) return layout.copy();
  const side = (length) => Math.max(multiple, Math.round(length / scale / multiple) * multiple);
  return layout.resized(side(layout.width), side(layout.height));
}

on("pixels", () => {
  stop();
  outdated();
});
on("model", () => {
  stop();
  outdated();
});
on("style", stop);
on("settled", later);
on("styles", later);
