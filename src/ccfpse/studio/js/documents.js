// Where layouts come from: bundled ones, files, a project, or a change of size.

import * as api from "./api.js";
import { replace, reset } from "./editing.js";
import { allowed, best } from "./fitting.js";
import { Layout } from "./layout.js";
import { state } from "./state.js";
import { toast } from "./toast.js";

export const OVERTAKEN = "Another model was chosen meanwhile; nothing was opened.";

const text = (width, height) => `${width} × ${height}`;

export function blank() {
  return Layout.blank(state.model.width, state.model.height, state.baseId);
}

/** A bundled layout at the size that suits the model. */
export async function bundled(name) {
  const { model } = state;
  const { labels, instances } = await api.bundledLayout(model, name);
  const layout = await read(model, labels, instances, false);
  return layout.resized(...best(layout.width, layout.height));
}

async function read(model, labels, instances, nearest) {
  const { width, height, planes } = await api.readLayout(model.name, labels, instances, nearest);
  return new Layout(width, height, ...planes);
}

/** Puts a layout made for a model onto the canvas, as a step that can be undone; an Error if another has come. */
export function put(layout, model) {
  if (state.model !== model || !state.layout) throw new Error(OVERTAKEN);
  replace(layout);
}

/** Opens a label PNG as a step that can be undone; sizes that do not fit are adapted, with a word about it. */
export async function openLayout(file, nearest = false) {
  const { model } = state;
  let layout;
  try {
    layout = await read(model, file, null, nearest);
  } catch (error) {
    if (error.code !== "unknown_color") throw error;
    const action = { label: "Use the nearest classes", run: () => openLayout(file, true) };
    return toast(error.message, { error: true, action });
  }
  const { width, height } = layout;
  const fitting = best(width, height);
  put(layout.resized(...fitting), model);
  if (text(width, height) === text(...fitting)) return undefined;
  const keep = { label: `Keep ${text(width, height)}`, run: () => put(layout, model) };
  return toast(`Resized from ${text(width, height)} to ${text(...fitting)}, which suits the model.`, {
    action: allowed(width, height) ? keep : null,
  });
}

/** The first layout a new visitor sees. */
export async function firstLayout() {
  const [name] = await api.layouts(state.model.name);
  reset(name === undefined ? blank() : await bundled(name));
}
