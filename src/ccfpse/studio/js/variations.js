// Many photos of one layout, to choose a style from or to download together.

import * as api from "./api.js";
import { byId, make } from "./dom.js";
import { state } from "./state.js";
import { addStyle, randomSeed } from "./styles.js";
import { fail } from "./toast.js";
import { entries } from "./zip.js";

const dialog = byId("variations-dialog");
let urls = [];
let round = new AbortController(); // of the photos under way

function clear() {
  for (const url of urls) URL.revokeObjectURL(url);
  urls = [];
  byId("variations-zip").hidden = true;
}

function urlOf(blob) {
  urls.push(URL.createObjectURL(blob));
  return urls.at(-1);
}

async function fill() {
  round.abort();
  round = new AbortController();
  const { signal } = round;
  clear();
  // The layout may be too large even for the least that the list offers.
  const count = Math.min(Number(byId("variations-count").value), affordable());
  const grid = byId("variations-grid");
  grid.setAttribute("aria-busy", "true");
  grid.replaceChildren(...Array.from({ length: count }, () => make("div", { className: "placeholder" })));
  try {
    const seeds = Array.from({ length: count }, randomSeed);
    const vectors = await Promise.all(seeds.map((seed) => api.randomStyle(state.model.name, seed, signal)));
    const zip = await api.generate(state.model, state.layout, vectors, signal);
    const photos = (await entries(zip)).filter(({ name }) => name.endsWith(".png"));
    if (signal.aborted) return;
    grid.replaceChildren(...photos.map(({ blob }, i) => choice(blob, seeds[i], vectors[i])));
    Object.assign(byId("variations-zip"), { href: urlOf(zip), hidden: false });
  } catch (error) {
    if (signal.aborted) return;
    dialog.close();
    fail(error);
  }
  grid.setAttribute("aria-busy", "false");
}

function choice(blob, seed, vector) {
  const take = () => {
    dialog.close();
    addStyle(`Seed ${seed}`, vector);
  };
  const name = { type: "button", "aria-label": `Use the style of seed ${seed}`, title: `Seed ${seed}` };
  return make("button", { ...name, onclick: take }, make("img", { alt: "", src: urlOf(blob) }));
}

/** How many photos of this size one request may ask for. */
function affordable() {
  const { images, total_pixels: pixels } = state.limits;
  return Math.min(images, Math.floor(pixels / (state.layout.width * state.layout.height)));
}

byId("variations").addEventListener("click", () => {
  for (const option of byId("variations-count").options) option.disabled = Number(option.value) > affordable();
  if (byId("variations-count").selectedOptions[0]?.disabled) byId("variations-count").value = "8";
  dialog.showModal();
  fill();
});
byId("variations-again").addEventListener("click", fill);
byId("variations-count").addEventListener("change", fill);
byId("variations-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => round.abort());
