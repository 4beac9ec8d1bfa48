// Keeps the work in the browser, so that a reload or a crash loses nothing.

import { on, state } from "./state.js";
import { toProject } from "./project.js";
import { toast } from "./toast.js";

const PAUSE = 250; // ms
const LOCK = "ccfpse-studio-work";
const PATIENCE = 2000; // ms; after a reload the page that was may let go of the lock a little later
const ELSEWHERE =
  "The studio is open in another tab, which keeps its work; changes here are not kept: save a project.";

let timer = null; // of changes that are not kept yet
let ours = true; // whether this tab is the one that keeps
let keeping = Promise.resolve();

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("ccfpse-studio", 1);
    request.onupgradeneeded = () => request.result.createObjectStore("work");
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function transact(mode, action) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const request = action(database.transaction("work", mode).objectStore("work"));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } finally {
    database.close();
  }
}

/** The project kept under a key, which is a model's name, or undefined; also where the browser keeps nothing. */
export async function kept(key) {
  return transact("readonly", (store) => store.get(key)).catch(() => undefined);
}

/** Keeps at once what has changed since the last time, also while the last change is being kept. */
export function keepNow() {
  keeping = keeping.then(write);
  return keeping;
}

async function write() {
  while (timer !== null) {
    clearTimeout(timer);
    timer = null;
    if (!ours) continue;
    const project = await toProject();
    await transact("readwrite", (store) => store.put(project, project.model)).catch(() => undefined);
  }
}

/** Leaves out what has changed since the last time: nobody's work, but what a model begins with or was kept with. */
export function forgetChanges() {
  clearTimeout(timer);
  timer = null;
}

function later() {
  if (!state.layout) return;
  timer ??= setTimeout(keepNow, PAUSE);
}

/** Moves a model's project that cannot be restored out of the way of later work; returns its new key. */
export async function setAside(model, project) {
  const key = [model, Date.now()];
  const move = (store) => {
    store.put(project, key);
    return store.delete(model); // in one transaction: both or neither
  };
  await transact("readwrite", move).catch(() => undefined);
  return key;
}

/** The oldest [key, project] set aside for a model, or undefined. */
export async function firstAside(model) {
  const range = IDBKeyRange.bound([model], [model, Infinity]);
  const keys = await transact("readonly", (store) => store.getAllKeys(range, 1)).catch(() => []);
  return keys.length ? [keys[0], await kept(keys[0])] : undefined;
}

export async function forgetAside(key) {
  await transact("readwrite", (store) => store.delete(key)).catch(() => undefined);
}

/**
 * Resolves to whether this tab may keep: of several only the one that holds the lock, until it is closed, or they
 * would overwrite each other's work.
 */
function claim() {
  if (!navigator.locks) return true; // browsers have locks for https and this machine only
  return new Promise((resolve) => {
    const hold = () => {
      resolve(true);
      return new Promise(() => {}); // for as long as the page lives
    };
    const options = { signal: AbortSignal.timeout(PATIENCE) };
    navigator.locks.request(LOCK, options, hold).catch((error) => resolve(error.name !== "TimeoutError"));
  });
}

/** From now on every change is kept, those made before the lock is granted as soon as it is. */
export function startKeeping() {
  keeping = keeping.then(claim).then((granted) => {
    ours = granted;
    if (!ours) toast(ELSEWHERE, { error: true });
  });
  const changes = ["committed", "styles", "style", "classId", "baseId", "tool", "brush", "opacity", "view", "wipe"];
  for (const name of changes) on(name, later);
  document.addEventListener("visibilitychange", () => document.hidden && keepNow());
}
