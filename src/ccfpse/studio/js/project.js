// The whole work as one object: saved as a file, kept by the browser over a reload.

import { OVERTAKEN } from "./documents.js";
import { allowed } from "./fitting.js";
import { Layout } from "./layout.js";
import { set, state } from "./state.js";
import { restoreStyles } from "./styles.js";
import { tools } from "./tools.js";

const FORMAT = "ccfpse project";
const SETTINGS = {
  tool: (value) => Object.hasOwn(tools, value) && (value !== "instance" || state.model.uses_instances),
  brush: (value) => Number.isInteger(value) && value >= 1 && value <= 64,
  opacity: (value) => Number.isFinite(value) && value >= 0 && value <= 1,
  view: (value) => ["side", "overlay", "wipe"].includes(value),
  wipe: (value) => Number.isFinite(value) && value >= 0 && value <= 1,
};

async function through(bytes, transform) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(transform)).arrayBuffer());
}

/** Ids as text: 16 bits little-endian, deflated, base64. */
async function pack(values) {
  const view = new DataView(new ArrayBuffer(2 * values.length));
  values.forEach((value, i) => view.setUint16(2 * i, value, true));
  const packed = await through(view.buffer, new CompressionStream("deflate"));
  let text = "";
  for (const byte of packed) text += String.fromCharCode(byte);
  return btoa(text);
}

async function unpack(text, count) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const bytes = await through(packed, new DecompressionStream("deflate"));
  if (bytes.length !== 2 * count) throw new Error("the layout's data do not have its size");
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({ length: count }, (_, i) => view.getUint16(2 * i, true));
}

export async function toProject() {
  const { layout, model, styles, styleA, styleB, blend, classId, baseId } = state;
  const { width, height } = layout;
  const place = (id) => styles.findIndex((style) => style.id === id);
  const settings = Object.fromEntries(Object.keys(SETTINGS).map((name) => [name, state[name]]));
  const [ids, instances] = await Promise.all([pack(layout.ids), pack(layout.instances)]);
  return {
    format: FORMAT,
    version: 1,
    model: model.name,
    width,
    height,
    ids,
    instances,
    classId,
    baseId,
    styles: styles.map(({ label, vector, locked }) => ({ label, vector, locked })),
    styleA: place(styleA),
    styleB: place(styleB),
    blend,
    settings,
  };
}

/**
 * Puts a project onto the page, its layout by `place`: as a step that can be undone, or without a past.
 * Throws an Error that says what does not fit the model at hand; the page is then as it was.
 */
export async function fromProject(project, place) {
  if (project?.format !== FORMAT) throw new Error("This file is no project of the studio.");
  const { width, height } = project;
  if (!allowed(width, height)) throw new Error(`The project's size ${width} × ${height} does not suit this model.`);
  const { model } = state;
  const layout = new Layout(width, height, ...(await planes(project)));
  if (state.model !== model) throw new Error(OVERTAKEN);
  const unknown = layout.ids.find((id) => !isClass(id));
  if (unknown !== undefined) throw new Error(`The project holds class ${unknown}, which this model does not have.`);
  const { style_dim: length } = state.model;
  const styles = Array.isArray(project.styles) ? project.styles : [];
  const fits = (style) => {
    const vector = style?.vector;
    return Array.isArray(vector) && vector.length === length && vector.every(Number.isFinite);
  };
  if (length && styles.length && styles.every(fits)) {
    restoreStyles(styles, project.styleA, project.styleB, Math.min(1, Math.max(0, project.blend || 0)));
  }
  const classOr = (id) => (isClass(id) ? id : 0);
  const known = ([name, value]) => Object.hasOwn(SETTINGS, name) && SETTINGS[name](value);
  const settings = Object.entries(project.settings ?? {}).filter(known);
  set({ classId: classOr(project.classId), baseId: classOr(project.baseId), ...Object.fromEntries(settings) });
  place(layout);
}

function isClass(id) {
  return Number.isInteger(id) && (id in state.classes.names || id === state.classes.ignore);
}

async function planes({ ids, instances, width, height }) {
  try {
    return [await unpack(ids, width * height), await unpack(instances, width * height)];
  } catch {
    throw new Error("The project's layout is damaged.");
  }
}
