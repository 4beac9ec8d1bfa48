// The document: replacing, painting in steps that can be undone, undo and redo.

import { History } from "./history.js";
import { emit, set, state } from "./state.js";

let history = new History();
let before = null; // the layout at the start of the step under way

export const isEditing = () => before !== null;
export const canUndo = () => history.done.length > 0;
export const canRedo = () => history.undone.length > 0;

/** Starts a step, after ending one under way; returns the layout as it was, for shapes drawn anew at every move. */
export function begin() {
  if (before) commit();
  before = state.layout.copy();
  return before;
}

/** Tells everybody that pixels changed within a step. */
export function touched() {
  emit("pixels");
}

/** Ends a step and remembers it. */
export function commit() {
  const changed = history.record(before, state.layout);
  before = null;
  if (changed) emit("committed");
}

/** Ends a step as if it had not been. */
export function cancel() {
  if (!before) return;
  state.layout.assign(before);
  before = null;
  emit("pixels");
}

/** Another layout takes this one's place, as a step that can be undone. */
export function replace(layout) {
  cancel();
  history.record(state.layout, layout);
  show(layout);
}

/** Another layout without a past. */
export function reset(layout) {
  before = null;
  history = new History();
  show(layout);
}

export function undo() {
  if (state.layout && !isEditing()) show(history.undo(state.layout));
}

export function redo() {
  if (state.layout && !isEditing()) show(history.redo(state.layout));
}

function show(layout) {
  if (!layout) return;
  set({ layout });
  emit("pixels");
  emit("committed");
}
