// Which sizes a model takes, and the one that fits a given layout.

import { state } from "./state.js";

const LONGEST = 2048; // cells; the server's pixel limit usually ends it sooner

/** Lengths of a side that leave the other side at least its minimum. */
export function sides() {
  const { size_multiple: multiple } = state.model;
  const longest = Math.min(LONGEST, Math.floor(state.limits.layout_pixels / multiple));
  return Array.from({ length: Math.floor(longest / multiple) }, (_, i) => (i + 1) * multiple);
}

export function allowed(width, height) {
  const { size_multiple: multiple } = state.model;
  const whole = width > 0 && height > 0 && width % multiple === 0 && height % multiple === 0;
  return whole && Math.max(width, height) <= LONGEST && width * height <= state.limits.layout_pixels;
}

/** [width, height] of the same shape as given, about as large as the photos that the model has learnt from. */
export function best(width, height) {
  const { width: w, height: h, size_multiple: multiple } = state.model;
  const scale = Math.min(w / width, h / height, 1);
  const side = (length) => Math.max(multiple, Math.round((length * scale) / multiple) * multiple);
  return [side(width), side(height)];
}
