// What the whole page shares, and how its parts hear of changes.

export const state = {
  models: [], // as GET /v1/models gives them
  limits: null,
  model: null,
  classes: null, // {names, colors, ignore} of the model
  layout: null, // the Layout being painted
  tool: "brush",
  classId: 0,
  baseId: 0, // what the eraser leaves
  brush: 8, // diameter in cells
  opacity: 1, // of the layout over the photo
  view: "side", // side | overlay | wipe
  wipe: 0.5, // share of the pane that shows the layout
  photo: null, // {bitmap, blob, milliseconds}
  busy: false, // the photo has been computing for more than a moment
  styles: [], // {id, label, vector, locked, thumbnail, stale}
  styleA: null, // ids of styles
  styleB: null,
  blend: 0, // 0 is A, 1 is B
  singleKeys: true, // shortcuts of one letter or digit
};

const bus = new EventTarget();

/** Calls `listener(detail)` at every event of that name; a change of state.X is the event "X". */
export function on(name, listener) {
  bus.addEventListener(name, (event) => listener(event.detail));
}

export function emit(name, detail) {
  bus.dispatchEvent(new CustomEvent(name, { detail }));
}

/** Changes fields of the state and tells who listens to those that differ now. */
export function set(changes) {
  const changed = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  Object.assign(state, changes);
  for (const name of changed) emit(name, state[name]);
}
