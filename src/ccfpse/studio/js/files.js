// Saving to files, opening them, drag and drop.

import { byId } from "./dom.js";
import { openLayout, OVERTAKEN } from "./documents.js";
import { replace } from "./editing.js";
import { colorOf } from "./picture.js";
import { layoutPng } from "./png.js";
import { fromProject, toProject } from "./project.js";
import { state } from "./state.js";
import { lockedStyles, useReference } from "./styles.js";
import { fail, toast } from "./toast.js";

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function downloadProject(project) {
  download(new Blob([JSON.stringify(project)], { type: "application/json" }), "layout.ccfpse.json");
}

const palette = () => Array.from({ length: 256 }, (_, id) => colorOf(id));

const saves = {
  async layout() {
    download(await layoutPng(state.layout, palette()), "layout.png");
  },
  async photo() {
    if (!state.photo) return toast("There is no photo yet.");
    return download(state.photo.blob, "photo.png");
  },
  async project() {
    downloadProject(await toProject());
  },
};

export function save(what) {
  saves[what]().catch(fail);
}

/** Opens a label PNG or a project. */
async function openFile(file) {
  if (!/\.json$/i.test(file.name) && file.type !== "application/json") return openLayout(file);
  let project;
  try {
    project = JSON.parse(await file.text());
  } catch {
    throw new Error("This file is not JSON.");
  }
  if (!state.layout) throw new Error(OVERTAKEN);
  const [before, run] = [state.styles, lockedStyles()];
  await fromProject(project, replace);
  if (run && state.styles !== before) {
    toast("The project's styles took the place of yours.", { action: { label: "Bring yours back", run } });
  }
  const { name } = state.model;
  if (project.model === name) return;
  toast(`The project was made with model ${project.model}; the same ids may be other classes in ${name}.`);
}

function isLayout(file) {
  return /\.(png|json)$/i.test(file.name) || ["image/png", "application/json"].includes(file.type);
}

function drop(event) {
  event.preventDefault();
  byId("drop-hint").hidden = true;
  const [file] = event.dataTransfer.files;
  if (!file) return;
  const asStyle = event.target.closest?.("#style-dock") || !isLayout(file);
  if (asStyle && !state.model.encodes_style) return toast("This model takes no style from photos.", { error: true });
  return (asStyle ? useReference(file) : openFile(file)).catch(fail);
}

function dragging(event) {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  byId("drop-hint").hidden = false;
}

byId("open").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) openFile(file).catch(fail);
});
for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => {
    byId("save-menu").hidePopover();
    save(button.dataset.save);
  });
}
byId("save-menu").addEventListener("beforetoggle", () => {
  const box = byId("save").getBoundingClientRect();
  const left = Math.max(8, Math.min(box.left, window.innerWidth - 268));
  Object.assign(byId("save-menu").style, { left: `${left}px`, top: `${box.bottom + 6}px` });
});
addEventListener("dragover", dragging);
addEventListener("dragleave", (event) => event.relatedTarget === null && (byId("drop-hint").hidden = true));
addEventListener("drop", drop);
