// Tool buttons, brush size, opacity, view, undo and redo.

import { canRedo, canUndo, redo, undo } from "./editing.js";
import { announce, byId, icon, make, setIcon } from "./dom.js";
import { on, set, state } from "./state.js";
import { abandon, usesBrush } from "./tools.js";

export const TOOLS = [
  { id: "brush", name: "Brush", key: "b" },
  { id: "eraser", name: "Eraser", key: "e" },
  { id: "fill", name: "Fill", key: "g" },
  { id: "line", name: "Line", key: "l" },
  { id: "rectangle", name: "Rectangle", key: "r" },
  { id: "polygon", name: "Polygon", key: "p" },
  { id: "instance", name: "Instance brush", key: "n" },
  { id: "pick", name: "Eyedropper", key: "i" },
  { id: "hand", name: "Move the view", key: "h" },
];

/** Whether the model at hand has a use for a tool. */
export const isOffered = (tool) => tool !== "instance" || state.model.uses_instances;

const VIEWS = ["side", "overlay", "wipe"];
const TRANSLUCENT = 0.5;

export function nextView() {
  set({ view: VIEWS[(VIEWS.indexOf(state.view) + 1) % VIEWS.length] });
}

export function resizeBrush(factor) {
  const scaled = state.brush * factor;
  const size = factor > 1 ? Math.max(state.brush + 1, scaled) : Math.min(state.brush - 1, scaled);
  set({ brush: Math.min(64, Math.max(1, Math.round(size))) });
  announce(`Brush ${state.brush}`);
}

function toolButton({ id, name, key }) {
  const title = `${name} (${key.toUpperCase()})`;
  const choose = () => set({ tool: id });
  const button = make("button", { type: "button", title, "aria-label": name, onclick: choose }, icon(id));
  button.dataset.tool = id;
  return button;
}

function showTool() {
  for (const button of byId("tools").children) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === state.tool));
  }
  byId("panes").dataset.tool = state.tool;
  byId("brush-control").classList.toggle("off", !usesBrush(state.tool));
}

function showView() {
  for (const button of document.querySelectorAll("[data-view][aria-pressed]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === state.view));
  }
  byId("panes").dataset.view = state.view;
  byId("photo-pane").hidden = state.view !== "side";
  byId("wipe-handle").hidden = state.view !== "wipe";
  if (state.view === "overlay" && state.opacity === 1) set({ opacity: TRANSLUCENT });
  if (state.view === "wipe" && state.opacity < 1) set({ opacity: 1 });
}

function showWipe() {
  const percent = Math.round(state.wipe * 100);
  byId("wipe-handle").style.setProperty("--wipe", `${percent}%`);
  byId("wipe-handle").setAttribute("aria-valuenow", percent);
}

function showBrush() {
  byId("brush").value = state.brush;
  byId("brush-value").textContent = state.brush;
}

function showOpacity() {
  byId("opacity").value = Math.round(state.opacity * 100);
  byId("opacity-value").textContent = `${Math.round(state.opacity * 100)} %`;
}

function showHistory() {
  byId("undo").disabled = !canUndo();
  byId("redo").disabled = !canRedo();
}

for (const button of document.querySelectorAll("[data-icon]")) setIcon(button, button.dataset.icon);
byId("tools").append(...TOOLS.map(toolButton));
byId("undo").addEventListener("click", undo);
byId("redo").addEventListener("click", redo);
byId("brush").addEventListener("input", (event) => set({ brush: Number(event.target.value) }));
byId("opacity").addEventListener("input", (event) => set({ opacity: event.target.value / 100 }));
for (const button of document.querySelectorAll("button[data-view]")) {
  button.addEventListener("click", () => set({ view: button.dataset.view }));
}

on("tool", (tool) => {
  abandon();
  showTool();
  announce(TOOLS.find(({ id }) => id === tool).name);
});
on("brush", showBrush);
on("opacity", showOpacity);
on("view", showView);
on("wipe", showWipe);
on("committed", showHistory);
on("model", () => {
  for (const button of byId("tools").children) button.hidden = !isOffered(button.dataset.tool);
  if (!isOffered(state.tool)) set({ tool: "brush" });
});

for (const show of [showTool, showView, showWipe, showBrush, showOpacity, showHistory]) show();
