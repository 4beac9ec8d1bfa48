// Puts the page together: models, the work kept by the browser, then everything listens to everything.

import "./theme.js";
import "./token.js";
import "./toolbar.js";
import "./palette.js";
import "./render.js";
import "./pointer.js";
import "./keyboard.js";
import "./status.js";
import "./live.js";
import "./strip.js";
import "./thumbnails.js";
import "./variations.js";
import "./gallery.js";
import "./files.js";
import "./shortcuts.js";

import * as api from "./api.js";
import { firstLayout } from "./documents.js";
import { byId } from "./dom.js";
import { reset } from "./editing.js";
import { downloadProject } from "./files.js";
import { recall, remember } from "./memory.js";
import { fromProject } from "./project.js";
import { set, state } from "./state.js";
import { firstAside, forgetAside, forgetChanges, kept, keepNow, setAside, startKeeping } from "./storage.js";
import { firstStyles } from "./styles.js";
import { fail, toast } from "./toast.js";
import { abandon } from "./tools.js";

const LAST_MODEL = "ccfpse-model";

let wanted = null; // the model chosen last
let switching = Promise.resolve();

/** Switches follow one another, so that no two models mix; those overtaken before they begin are left out. */
function useModel(model) {
  wanted = model;
  document.body.dataset.ready = "false";
  switching = switching.catch(() => {}).then(() => model === wanted && switchTo(model));
  return switching;
}

async function switchTo(model) {
  if (model !== state.model || !state.layout) await load(model);
  if (model !== wanted) return;
  remember(LAST_MODEL, model.name);
  document.body.dataset.ready = "true";
}

async function load(model) {
  // Nothing may be drawn with one model's layout and another's classes.
  const classes = await api.classes(model.name);
  if (state.layout) await keepNow(); // the first model need not wait until it is known whether this tab keeps
  abandon();
  set({ layout: null, photo: null, styleB: null });
  set({ classes, classId: 0, baseId: 0 });
  set({ model });
  await firstStyles();
  await restore(model);
  forgetChanges();
}

async function restore(model) {
  const project = await kept(model.name);
  let aside = await firstAside(model.name); // from an earlier start
  let reason = "";
  try {
    if (project) await fromProject(project, reset);
  } catch (error) {
    aside = [await setAside(model.name, project), project]; // the first layout is kept in its place
    reason = ` ${error.message}`;
  }
  if (!state.layout) await firstLayout();
  if (aside) offer(...aside, reason);
}

/** Offers work that could not be restored, at every start until it is downloaded. */
function offer(key, project, reason) {
  const run = () => {
    downloadProject(project);
    return forgetAside(key);
  };
  const action = { label: "Download it", run };
  toast(`Work kept by this browser could not be restored.${reason}`, { error: true, action });
}

function offerModels(models, chosen) {
  byId("model").replaceChildren(...models.map(({ name }) => new Option(name, name, false, name === chosen.name)));
  byId("model").disabled = models.length < 2;
  byId("model").addEventListener("change", (event) => {
    choose(models.find(({ name }) => name === event.target.value));
  });
}

/** Switches to a model; if that fails, the page says so and stays usable. */
function choose(model) {
  return useModel(model).catch((error) => {
    fail(error);
    if (model === wanted) stay();
  });
}

/** After a switch that failed: the list shows the model in use, or none when there is no way back. */
function stay() {
  const usable = state.layout !== null;
  byId("model").value = usable ? state.model.name : "";
  document.body.dataset.ready = String(usable);
}

async function start() {
  const { models, limits } = await api.models();
  set({ models, limits });
  const chosen = models.find(({ name }) => name === recall(LAST_MODEL)) ?? models[0];
  offerModels(models, chosen);
  startKeeping(); // also what is made after this model failed to load and another took its place
  await choose(chosen);
}

start().catch(fail);
