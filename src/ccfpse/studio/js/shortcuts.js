// Keyboard shortcuts: one table for the handler and for the help panel.

import { redo, undo } from "./editing.js";
import { byId, make } from "./dom.js";
import { save } from "./files.js";
import { recall, remember } from "./memory.js";
import { chooseByKey } from "./palette.js";
import { on, set, state } from "./state.js";
import { reroll } from "./styles.js";
import { isOffered, nextView, resizeBrush, TOOLS } from "./toolbar.js";
import { fit, zoom } from "./view.js";

const focusSearch = () => {
  byId("search").hidden = false;
  byId("search").focus();
};

const TEXT_FIELDS = "input:not([type=range], [type=checkbox]), textarea";

// [keys as shown, what they do, keys as the browser names them, action]
const SINGLE = [
  ...TOOLS.map(({ id, name, key }) => [key.toUpperCase(), name, [key], () => isOffered(id) && set({ tool: id })]),
  ["1 – 9, 0", "Class of that number", [..."1234567890"], (event) => chooseByKey(event.key)],
  ["/", "Search classes", ["/"], focusSearch],
  ["[  ]", "Smaller or larger brush", ["[", "]"], (event) => resizeBrush(event.key === "]" ? 1.25 : 0.8)],
  ["X", "Eraser leaves the selected class", ["x"], () => set({ baseId: state.classId })],
  ["V", "Next view", ["v"], nextView],
  ["S", "New styles", ["s"], () => state.model.style_dim && reroll()],
  ["+  −", "Zoom in or out", ["+", "=", "-"], (event) => zoom(event.key === "-" ? 1 / 1.4 : 1.4)],
  ["F", "Fit to view", ["f"], fit],
  ["?", "This help", ["?"], () => byId("help").click()],
];

const WITH_CONTROL = [
  ["Ctrl Z", "Undo", "z", undo],
  ["Ctrl Shift Z, Ctrl Y", "Redo", "y", redo],
  ["Ctrl S", "Save the project", "s", () => save("project")],
  ["Ctrl O", "Open", "o", () => byId("open").click()],
];

const ON_CANVAS = [
  ["Arrows", "Move the brush; with Shift eight cells"],
  ["Space", "Hold to paint while moving"],
  ["Enter", "Brush down or up; closes a polygon"],
  ["Backspace, Esc", "Last corner away; give up"],
  ["Right click, Alt click", "Eyedropper"],
  ["Wheel, two fingers", "Zoom and move the view"],
];

function withControl(event) {
  const key = event.shiftKey && event.key.toLowerCase() === "z" ? "y" : event.key.toLowerCase();
  if ("zy".includes(key) && event.target.closest(TEXT_FIELDS)) return undefined; // the field has an undo of its own
  return WITH_CONTROL.find(([, , wanted]) => wanted === key)?.[3];
}

function single(event) {
  const typing = event.target.closest(`${TEXT_FIELDS}, select`);
  if (typing || event.altKey || !state.singleKeys) return undefined;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  return SINGLE.find(([, , keys]) => keys.includes(key))?.[3];
}

function pressed(event) {
  if (!state.layout || document.querySelector("dialog[open]")) return;
  const action = event.ctrlKey || event.metaKey ? withControl(event) : single(event);
  if (!action) return;
  event.preventDefault();
  action(event);
}

function fillHelp() {
  const available = SINGLE.filter(([, name]) => name !== "Instance brush" || state.model.uses_instances);
  const rows = [...ON_CANVAS, ...available, ...WITH_CONTROL].map(([keys, name]) =>
    make("div", {}, make("dt", {}, make("kbd", { textContent: keys })), make("dd", { textContent: name })),
  );
  byId("shortcut-list").replaceChildren(...rows);
  byId("about").textContent = `Model ${state.model.name}. ${state.model.attribution}`;
}

byId("help").addEventListener("click", () => {
  fillHelp();
  byId("help-dialog").showModal();
});
byId("single-keys").addEventListener("change", (event) => set({ singleKeys: event.target.checked }));
on("singleKeys", (wanted) => {
  byId("single-keys").checked = wanted;
  remember("ccfpse-single-keys", String(wanted));
});
addEventListener("keydown", pressed);

set({ singleKeys: recall("ccfpse-single-keys") !== "false" });
