// Undo and redo: each step holds the rectangle of pixels that it changed, before and after.

import { Layout } from "./layout.js";

const DEPTH = 50;

export class History {
  constructor() {
    this.done = [];
    this.undone = [];
  }

  /** Records the way from one layout to another; false where nothing changed. */
  record(before, after) {
    const same = before.width === after.width && before.height === after.height;
    const step = same ? patches(before, after) : { whole: true, before: before.copy(), after: after.copy() };
    if (!step) return false;
    this.done.push(step);
    if (this.done.length > DEPTH) this.done.shift();
    this.undone = [];
    return true;
  }

  /** The layout before the last step, or null. */
  undo(layout) {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    return applied(layout, step, step.before);
  }

  /** The layout after the step undone last, or null. */
  redo(layout) {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    return applied(layout, step, step.after);
  }
}

function patches(before, after) {
  let [left, top, right, bottom] = [Infinity, Infinity, -1, -1];
  for (let y = 0, at = 0; y < after.height; y++) {
    for (let x = 0; x < after.width; x++, at++) {
      if (before.ids[at] === after.ids[at] && before.instances[at] === after.instances[at]) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = y;
    }
  }
  if (right < 0) return null;
  const box = { left, top, width: right - left + 1, height: bottom - top + 1 };
  return { box, before: cut(before, box), after: cut(after, box) };
}

function cut(layout, box) {
  const piece = new Layout(box.width, box.height);
  copyRows(layout, box, (row, start, end) => {
    piece.ids.set(layout.ids.subarray(start, end), row * box.width);
    piece.instances.set(layout.instances.subarray(start, end), row * box.width);
  });
  return piece;
}

function applied(layout, step, piece) {
  if (step.whole) return piece.copy();
  const result = layout.copy();
  copyRows(result, step.box, (row, start) => {
    const [from, to] = [row * piece.width, (row + 1) * piece.width];
    result.ids.set(piece.ids.subarray(from, to), start);
    result.instances.set(piece.instances.subarray(from, to), start);
  });
  return result;
}

function copyRows(layout, box, copy) {
  for (let row = 0; row < box.height; row++) {
    const start = (box.top + row) * layout.width + box.left;
    copy(row, start, start + box.width);
  }
}
