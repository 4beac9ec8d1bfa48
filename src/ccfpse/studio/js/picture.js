// The layout as pixels: one canvas cell per class id, coloured by a table.

import { state } from "./state.js";

const EDGE = 0.6; // brightness of the outline around instances

const canvas = document.createElement("canvas");
const context = canvas.getContext("2d");

/** [r, g, b] of an id; unlabelled is black. */
export function colorOf(id) {
  return state.classes.colors[id] ?? [0, 0, 0];
}

export const cssColor = (id) => `rgb(${colorOf(id).join(" ")})`;

export function nameOf(id) {
  return state.classes.names[id] ?? "unlabelled";
}

function packed([red, green, blue], brightness = 1) {
  return (
    0xff000000 +
    (Math.round(blue * brightness) << 16) +
    (Math.round(green * brightness) << 8) +
    Math.round(red * brightness)
  );
}

/** A canvas of the layout's size, up to date. */
export function layoutPicture() {
  const { width, height, ids, instances } = state.layout;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const plain = new Map();
  const edge = new Map();
  for (const id of [...state.classes.names.keys(), state.classes.ignore]) {
    plain.set(id, packed(colorOf(id)));
    edge.set(id, packed(colorOf(id), EDGE));
  }
  const outlined = state.model.uses_instances;
  for (let i = 0; i < pixels.length; i++) {
    const onEdge =
      outlined &&
      ((i % width < width - 1 && instances[i] !== instances[i + 1]) ||
        (i + width < pixels.length && instances[i] !== instances[i + width]));
    pixels[i] = (onEdge ? edge : plain).get(ids[i]);
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
