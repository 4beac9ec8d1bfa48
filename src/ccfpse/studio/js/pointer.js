// Mouse, pen and fingers on the panes: one pointer works with the tool, two fingers zoom and pan.

import { byId } from "./dom.js";
import { cancel, isEditing } from "./editing.js";
import { on, set, state } from "./state.js";
import { abandon, closePolygon, tools } from "./tools.js";
import { pan, toCell, zoom } from "./view.js";

const PEN_ERASER = 32; // bit of event.buttons
const SLOP = 8; // CSS pixels that a finger which keeps still may move
const pointers = new Map(); // id -> {x, y} in pane coordinates
let active = null; // {id, tool, waiting} of the pointer that works; waiting: where a finger may yet become a pinch
let panning = null; // id of the pointer that drags the view

const position = (event, canvas) => {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function toolFor(event) {
  if (event.button === 2 || event.altKey) return tools.pick;
  if (event.pointerType === "pen" && event.buttons & PEN_ERASER) return tools.eraser;
  return tools[state.tool];
}

function press(event, canvas) {
  if (!state.layout) return;
  canvas.setPointerCapture(event.pointerId);
  canvas.focus({ preventScroll: true });
  const [x, y] = position(event, canvas);
  pointers.set(event.pointerId, { x, y });
  if (event.pointerType === "touch" && pointers.size === 2) {
    // The first finger was the start of a pinch, not of a stroke. What was begun before it, stays.
    if (active) cancel();
    active = null;
    return;
  }
  if (pointers.size > 1) return;
  if (event.button === 1 || state.tool === "hand") {
    panning = event.pointerId;
    return;
  }
  active = { id: event.pointerId, tool: toolFor(event), waiting: null };
  // What a stroke changes can be taken back when a second finger comes; other tools wait.
  if (event.pointerType === "touch" && !active.tool.release) active.waiting = [x, y];
  else active.tool.press?.(...toCell(x, y));
}

/** A waiting finger turns out to be alone: its press happens where it was put down. */
function proceed() {
  const { tool, waiting } = active;
  active.waiting = null;
  if (waiting) tool.press?.(...toCell(...waiting));
}

function move(event, canvas) {
  const [x, y] = position(event, canvas);
  set({ cursor: toCell(x, y) });
  const before = pointers.get(event.pointerId);
  if (!before) return;
  if (pointers.size === 2) pinch(event.pointerId, x, y);
  else if (panning === event.pointerId) pan(x - before.x, y - before.y);
  else if (active?.id === event.pointerId) {
    const { tool, waiting } = active;
    if (waiting && tool.move && Math.hypot(x - waiting[0], y - waiting[1]) > SLOP) proceed();
    if (!active.waiting) follow(event, canvas);
  }
  pointers.set(event.pointerId, { x, y });
}

/** Every point the device measured since the last frame, so that fast strokes stay round. */
function follow(event, canvas) {
  const events = event.getCoalescedEvents?.() ?? [];
  for (const each of events.length ? events : [event]) active.tool.move?.(...toCell(...position(each, canvas)));
}

function pinch(id, x, y) {
  const [other] = [...pointers].filter(([key]) => key !== id).map(([, point]) => point);
  const before = pointers.get(id);
  const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
  pan((x - before.x) / 2, (y - before.y) / 2);
  zoom(distance({ x, y }) / distance(before), (x + other.x) / 2, (y + other.y) / 2);
}

function release(event) {
  pointers.delete(event.pointerId);
  if (panning === event.pointerId) panning = null;
  if (active?.id !== event.pointerId) return;
  if (event.type === "pointercancel") cancel();
  else {
    proceed();
    if (isEditing()) active.tool.release?.();
  }
  active = null;
}

function wheel(event, canvas) {
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 16 : 1;
  if (event.shiftKey) pan(-(event.deltaX || event.deltaY) * unit, 0);
  else zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0015)), ...position(event, canvas));
}

for (const canvas of [byId("layout-canvas"), byId("photo-canvas")]) {
  canvas.addEventListener("pointerdown", (event) => press(event, canvas));
  canvas.addEventListener("pointermove", (event) => move(event, canvas));
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => set({ cursor: null }));
  canvas.addEventListener("wheel", (event) => wheel(event, canvas), { passive: false });
  canvas.addEventListener("dblclick", () => state.tool === "polygon" && closePolygon());
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
}

// The photo pane has no focus of its own, from which Escape could come.
addEventListener("keydown", (event) => event.key === "Escape" && active && abandon());
on("abandoned", () => (active = null));

const handle = byId("wipe-handle");
handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
handle.addEventListener("pointermove", (event) => {
  if (!handle.hasPointerCapture(event.pointerId)) return;
  const box = byId("layout-canvas").getBoundingClientRect();
  set({ wipe: Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) });
});
handle.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -0.02, ArrowRight: 0.02, Home: -1, End: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  set({ wipe: Math.min(1, Math.max(0, state.wipe + step)) });
});
