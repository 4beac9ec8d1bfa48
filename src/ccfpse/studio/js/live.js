// Keeps the photo up to date: one request at a time, the newest layout next, stale answers dropped.

import * as api from "./api.js";
import { byId } from "./dom.js";
import { currentStyle } from "./styles.js";
import { emit, on, set, state } from "./state.js";
import { fail, toast } from "./toast.js";

const PAUSE = 60; // ms without a change before a request
const LONGEST_PAUSE = 300; // ms that changes may put it off
const SPINNER_AFTER = 300; // ms

let timer = null;
let waitingSince = null;
let inFlight = null; // {controller} of the request whose answer counts
let wanted = false;

/** Asks for a photo of the layout as it is now, soon. */
function want() {
  wanted = true;
  byId("photo-pane").setAttribute("aria-busy", "true");
  waitingSince ??= performance.now();
  clearTimeout(timer);
  timer = setTimeout(ask, Math.max(0, Math.min(PAUSE, waitingSince + LONGEST_PAUSE - performance.now())));
}

/** As want, but an answer under way is of something else by now and must not be shown. Without a layout nothing is. */
function wantOther() {
  inFlight?.controller.abort();
  inFlight = null;
  if (state.layout) return want();
  clearTimeout(timer);
  wanted = false;
  waitingSince = null;
  return rest();
}

async function ask() {
  waitingSince = null;
  if (inFlight || !wanted || !state.layout) return;
  wanted = false;
  const request = { controller: new AbortController() };
  inFlight = request;
  const spinner = setTimeout(() => request === inFlight && set({ busy: true }), SPINNER_AFTER);
  const start = performance.now();
  let again = 0; // ms
  try {
    const style = currentStyle();
    const styles = style ? [style] : [];
    const blob = await api.generate(state.model, state.layout, styles, request.controller.signal);
    const bitmap = await createImageBitmap(blob);
    if (request === inFlight) set({ photo: { bitmap, blob, milliseconds: performance.now() - start } });
  } catch (error) {
    if (request === inFlight) again = patience(error);
  }
  clearTimeout(spinner);
  if (request !== inFlight) return; // another request has taken over
  inFlight = null;
  if (again) {
    wanted = true;
    timer = setTimeout(ask, again);
  } else if (wanted) ask();
  else settle();
}

function rest() {
  set({ busy: false });
  byId("photo-pane").setAttribute("aria-busy", "false");
}

function settle() {
  rest();
  emit("settled");
}

/** Milliseconds until the same request may succeed, 0 for never. */
function patience(error) {
  if (error.status === 429) return 1000 * (error.retryAfter || 1);
  if (error instanceof TypeError) {
    toast("The server does not answer; trying again.", { error: true });
    return 2000;
  }
  fail(error);
  return 0;
}

on("pixels", want);
for (const name of ["model", "layout", "style"]) on(name, wantOther);
