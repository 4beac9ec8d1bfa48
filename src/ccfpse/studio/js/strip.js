// The style dock: thumbnails to choose from, locks, two slots and the slider between them.

import { byId, icon, make } from "./dom.js";
import { on, state } from "./state.js";
import { addStyle, currentStyle, reroll, styleById, toggleLock, use, useReference } from "./styles.js";

let slot = "A"; // which slot the next choice fills

function choose(id) {
  if (slot === "A") use({ styleA: id });
  else use({ styleB: id, blend: state.styleB === null ? 0.5 : state.blend });
}

function item(style) {
  const picture = make("img", { alt: "", src: style.thumbnail ?? "/static/icon.svg", draggable: false });
  const choice = { type: "button", className: "thumb", title: style.label, "aria-label": style.label };
  const badge = make("span", { className: "badge" });
  const button = make("button", { ...choice, onclick: () => choose(style.id) }, picture, badge);
  const lock = make(
    "button",
    {
      type: "button",
      className: "lock",
      title: style.locked ? "Unlock" : "Lock: new styles leave it in place",
      "aria-label": `Lock ${style.label}`,
      "aria-pressed": String(style.locked),
      onclick: () => toggleLock(style.id),
    },
    icon(style.locked ? "lock" : "unlock"),
  );
  const element = make("li", { className: "style" }, button, lock);
  element.dataset.id = style.id;
  element.dataset.empty = String(!style.thumbnail);
  return element;
}

function showStrip() {
  const focused = document.activeElement?.closest("#strip li")?.dataset.id;
  const wasLock = document.activeElement?.classList.contains("lock");
  byId("strip").replaceChildren(...state.styles.map(item));
  if (focused) byId("strip").querySelector(`[data-id="${focused}"] ${wasLock ? ".lock" : ".thumb"}`)?.focus();
  showChoice();
}

function showChoice() {
  for (const element of byId("strip").children) {
    const id = Number(element.dataset.id);
    const roles = [id === state.styleA ? "A" : "", id === state.styleB ? "B" : ""].join("");
    element.querySelector(".thumb").setAttribute("aria-pressed", String(roles !== ""));
    element.querySelector(".badge").textContent = roles;
  }
  for (const [name, id] of Object.entries({ A: state.styleA, B: state.styleB })) {
    const button = byId(`slot-${name.toLowerCase()}`);
    const style = styleById(id);
    button.querySelector("img")?.remove();
    if (style?.thumbnail) button.prepend(make("img", { alt: "", src: style.thumbnail }));
    button.setAttribute("aria-pressed", String(slot === name));
    button.setAttribute("aria-label", `Style ${name}: ${style?.label ?? "none"}; choose from the strip`);
    button.title = style?.label ?? `Choose a style ${name} from the strip`;
  }
  const both = state.styleB !== null;
  byId("blend").disabled = byId("keep-blend").disabled = byId("clear-b").disabled = !both;
  byId("blend").value = both ? Math.round(state.blend * 100) : 0;
}

function fillSlot(name) {
  slot = name;
  showChoice();
}

function keepBlend() {
  const [a, b] = [styleById(state.styleA), styleById(state.styleB)];
  addStyle(`${a.label} + ${b.label}, ${Math.round(state.blend * 100)} %`, currentStyle());
  fillSlot("A");
}

byId("reroll").addEventListener("click", reroll);
byId("slot-a").addEventListener("click", () => fillSlot("A"));
byId("slot-b").addEventListener("click", () => fillSlot("B"));
byId("blend").addEventListener("input", (event) => use({ blend: event.target.value / 100 }));
byId("keep-blend").addEventListener("click", keepBlend);
byId("clear-b").addEventListener("click", () => {
  fillSlot("A");
  use({ styleB: null, blend: 0 });
});
byId("reference").addEventListener("click", () => byId("reference-file").click());
byId("reference-file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) useReference(file);
});

on("styles", showStrip);
on("style", showChoice);
on("thumbnail", (style) => {
  const element = byId("strip").querySelector(`[data-id="${style.id}"]`);
  if (!element) return;
  element.querySelector("img").src = style.thumbnail;
  element.dataset.empty = "false";
  showChoice();
});
on("model", (model) => {
  byId("style-dock").hidden = !model.style_dim;
  byId("reference").hidden = !model.encodes_style;
});
