// The list of classes: choose one, search, and which one the eraser leaves.

import { announce, byId, make } from "./dom.js";
import { cssColor, nameOf } from "./picture.js";
import { on, set, state } from "./state.js";

const KEYS = "1234567890";

/** Ids of the palette in order: the classes, then "unlabelled" where the model knows it. */
export function paletteIds() {
  const ids = [...state.classes.names.keys()];
  return state.classes.ignore === null ? ids : [...ids, state.classes.ignore];
}

const radios = () => [...byId("classes").children];
const visible = () => radios().filter((radio) => !radio.hidden);

function build() {
  byId("classes").replaceChildren(...paletteIds().map(radio));
  byId("search").value = "";
  byId("search").hidden = paletteIds().length < 9;
  filter();
  mark();
}

function radio(id, position) {
  const swatch = make("span", { className: "swatch" });
  swatch.style.setProperty("--swatch", cssColor(id));
  const element = make(
    "button",
    { type: "button", role: "radio", className: "class", title: nameOf(id), onclick: () => set({ classId: id }) },
    swatch,
    make("span", { className: "name", textContent: nameOf(id) }),
  );
  if (position < KEYS.length) element.append(make("kbd", { "aria-hidden": "true", textContent: KEYS[position] }));
  element.dataset.id = id;
  return element;
}

function filter() {
  const wanted = byId("search").value.trim().toLowerCase();
  for (const element of radios()) element.hidden = !nameOf(Number(element.dataset.id)).toLowerCase().includes(wanted);
  byId("no-class").hidden = visible().length > 0;
  mark();
}

/** Shows what is chosen; the chosen or the first visible radio is the one that Tab reaches. */
function mark() {
  for (const element of radios()) {
    element.setAttribute("aria-checked", String(Number(element.dataset.id) === state.classId));
    element.tabIndex = -1;
  }
  const chosen = visible().find((element) => element.getAttribute("aria-checked") === "true");
  const reachable = chosen ?? visible()[0];
  if (reachable) reachable.tabIndex = 0;
  if (chosen) show(chosen);
  byId("base").textContent = nameOf(state.baseId);
}

/** Scrolls the list as far as needed. Not by scrollIntoView: Chromium then lets Tab begin there, not at the page's start. */
function show(element) {
  const list = byId("classes");
  const frame = list.getBoundingClientRect();
  const own = element.getBoundingClientRect();
  const beyond = (first, last) => Math.min(0, own[first] - frame[first]) || Math.max(0, own[last] - frame[last]);
  list.scrollBy(beyond("left", "right"), beyond("top", "bottom"));
}

function arrows(event) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const list = visible();
  const next = list[(list.indexOf(document.activeElement) + step + list.length) % list.length];
  next.focus();
  set({ classId: Number(next.dataset.id) });
}

/** Chooses the class of a number key; false where there is none. */
export function chooseByKey(key) {
  const id = paletteIds()[KEYS.indexOf(key)];
  if (id === undefined) return false;
  set({ classId: id });
  return true;
}

byId("search").addEventListener("input", filter);
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && visible()[0]) set({ classId: Number(visible()[0].dataset.id) });
  if (event.key === "Escape") {
    event.target.value = "";
    filter();
    byId("layout-canvas").focus();
  }
});
byId("classes").addEventListener("keydown", arrows);
byId("set-base").addEventListener("click", () => set({ baseId: state.classId }));

on("classes", build);
on("baseId", mark);
on("classId", (id) => {
  mark();
  announce(nameOf(id));
});
