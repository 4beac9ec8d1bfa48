// The dialog of layouts to start from, and the one that changes the size.

import * as api from "./api.js";
import { blank, bundled, put } from "./documents.js";
import { byId, make } from "./dom.js";
import { replace } from "./editing.js";
import { allowed, sides } from "./fitting.js";
import { cssColor } from "./picture.js";
import { on, state } from "./state.js";
import { fail } from "./toast.js";

let builtFor = null; // name of the model whose layouts the gallery shows

function entry(label, picture, layout) {
  const start = async () => {
    byId("new-dialog").close();
    const { model } = state;
    try {
      put(await layout(), model);
    } catch (error) {
      fail(error);
    }
  };
  return make("button", { type: "button", onclick: start }, picture, make("span", { textContent: label }));
}

async function build() {
  const model = state.model.name;
  if (builtFor === model) return;
  builtFor = model;
  try {
    await show(model);
  } catch (error) {
    if (builtFor === model) builtFor = null; // so that opening the dialog again tries again
    throw error;
  }
}

async function show(model) {
  const empty = make("span", { className: "empty" });
  byId("gallery").replaceChildren(entry("Blank", empty, async () => blank()));
  for (const name of await api.layouts(model)) {
    const { labels } = await api.bundledLayout(state.model, name);
    if (builtFor !== model) return;
    const picture = make("img", { alt: "", src: URL.createObjectURL(labels) });
    byId("gallery").append(entry(name.replaceAll("-", " "), picture, () => bundled(name)));
  }
}

function openGallery() {
  byId("new-dialog").showModal();
  byId("gallery").querySelector(".empty")?.style.setProperty("--swatch", cssColor(state.baseId));
  build().then(
    () => byId("gallery").querySelector(".empty")?.style.setProperty("--swatch", cssColor(state.baseId)),
    fail,
  );
}

const chosen = () => [Number(byId("width").value), Number(byId("height").value)];

function openSize() {
  const options = (value) => sides().map((side) => new Option(side, side, false, side === value));
  byId("width").replaceChildren(...options(state.layout.width));
  byId("height").replaceChildren(...options(state.layout.height));
  checkSize();
  byId("size-dialog").returnValue = "";
  byId("size-dialog").showModal();
}

function checkSize() {
  const fits = allowed(...chosen());
  const { width, height } = state.model;
  byId("size-apply").disabled = !fits;
  byId("size-note").textContent = fits
    ? `The model has learnt from photos of ${width} × ${height}; other sizes work, but may look less real.`
    : `Over the server's limit of ${state.limits.layout_pixels} pixels.`;
}

byId("new").addEventListener("click", openGallery);
byId("size").addEventListener("click", openSize);
byId("width").addEventListener("change", checkSize);
byId("height").addEventListener("change", checkSize);
byId("size-dialog").addEventListener("close", () => {
  if (byId("size-dialog").returnValue === "apply") replace(state.layout.resized(...chosen()));
});
on("model", () => (builtFor = null));
