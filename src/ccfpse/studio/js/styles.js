// The styles at hand: random ones, those of photos, locks, and the blend of two.

import * as api from "./api.js";
import { blend } from "./blend.js";
import { emit, set, state } from "./state.js";
import { fail } from "./toast.js";

const STRIP = 8;
let nextId = 1;

export const styleById = (id) => state.styles.find((style) => style.id === id);

/** The vector to draw with: A, B or between them; null for a model without styles. */
export function currentStyle() {
  const [a, b] = [styleById(state.styleA), styleById(state.styleB)];
  if (!a) return null;
  return b ? blend(a.vector, b.vector, state.blend) : a.vector;
}

const entry = (label, vector, locked) => ({ id: nextId++, label, vector, locked, thumbnail: null, stale: true });

function show(styles) {
  state.styles = styles;
  emit("styles");
}

/** Takes over saved styles ({label, vector, locked}), A and B as their positions. */
export function restoreStyles(saved, a, b, share) {
  const styles = saved.map(({ label, vector, locked }) => entry(label, vector, locked));
  show(styles);
  use({ styleA: styles[a]?.id ?? styles[0]?.id ?? null, styleB: styles[b]?.id ?? null, blend: share });
}

/** A function that brings the strip and the choice of now back, or null where nobody locked a style. */
export function lockedStyles() {
  const { model, styles, styleA, styleB, blend: share } = state;
  if (!styles.some(({ locked }) => locked)) return null;
  return () => {
    if (state.model !== model) return;
    show(styles);
    use({ styleA, styleB, blend: share });
  };
}

/** A strip of random styles, the same at every start. */
export async function firstStyles() {
  if (!state.model.style_dim) return restoreStyles([], 0, null, 0);
  const seeds = Array.from({ length: STRIP }, (_, i) => i);
  restoreStyles(await Promise.all(seeds.map(ofSeed)), 0, null, 0);
}

async function ofSeed(seed) {
  return { label: `Seed ${seed}`, vector: await api.randomStyle(state.model.name, seed), locked: false };
}

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;

/** New random styles in place of all that are neither locked nor in use. */
export async function reroll() {
  const { model } = state;
  try {
    const kept = (style) => style.locked || style.id === state.styleA || style.id === state.styleB;
    const fresh = state.styles.map(async (style) => {
      if (kept(style)) return style;
      const { label, vector } = await ofSeed(randomSeed());
      return entry(label, vector, false);
    });
    const styles = await Promise.all(fresh);
    if (state.model === model) show(styles);
  } catch (error) {
    fail(error);
  }
}

/** Puts a style to the front of the strip, locked, and draws with it. */
export function addStyle(label, vector) {
  const style = entry(label, vector, true);
  const styles = [style, ...state.styles];
  // The last style that is free to go makes room.
  const free = styles.findLastIndex(({ id, locked }) => !locked && id !== state.styleA && id !== state.styleB);
  if (styles.length > STRIP && free > 0) styles.splice(free, 1);
  show(styles);
  use({ styleA: style.id, styleB: null, blend: 0 });
}

/** Takes the style of a photo. */
export async function useReference(file) {
  const { model } = state;
  try {
    const name = file.name?.replace(/\.[^.]*$/, "") || "photo";
    const vector = await api.styleOfPhoto(model.name, file);
    if (state.model === model) addStyle(`Photo ${name}`, vector);
  } catch (error) {
    fail(error);
  }
}

/** Changes A, B or the share between them. */
export function use(changes) {
  set(changes);
  emit("style");
}

export function toggleLock(id) {
  styleById(id).locked = !styleById(id).locked;
  emit("styles");
}
