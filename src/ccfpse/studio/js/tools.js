// What a press, a drag and a release do with each tool. Points are in cells and may be fractional.

import { begin, cancel, commit, isEditing, touched } from "./editing.js";
import { disc, flood, line, polygon, rectangle } from "./raster.js";
import { emit, set, state } from "./state.js";

const freehand = (ink) => ({
  press(x, y) {
    const [id, instance] = ink(x, y);
    begin();
    this.write = state.layout.writer(id, instance);
    [this.x, this.y] = [x, y];
    this.move(x, y);
  },
  move(x, y) {
    if (!isEditing()) return;
    line(this.x, this.y, x, y, state.brush, this.write);
    [this.x, this.y] = [x, y];
    touched();
  },
  release: commit,
});

const dragged = (draw) => ({
  press(x, y) {
    this.start = [x, y];
    this.before = begin();
    this.move(x, y);
  },
  move(x, y) {
    if (!isEditing()) return;
    state.layout.assign(this.before);
    draw(...this.start, x, y, state.layout.writer(state.classId));
    touched();
  },
  release: commit,
});

/** A stroke that starts on an instance of its class goes on with it, any other makes a new one. */
function instanceInk(x, y) {
  const { layout, classId } = state;
  const [column, row] = [Math.floor(x), Math.floor(y)];
  const here = layout.contains(column, row) && layout.at(column, row) === classId;
  const instance = here ? layout.instances[row * layout.width + column] : 0;
  return [classId, instance || layout.freeInstance()];
}

export const outline = []; // corners of the polygon under way

export function closePolygon() {
  if (outline.length > 1) {
    begin();
    polygon(outline, state.layout.writer(state.classId));
    touched();
    commit();
  }
  dropPolygon();
}

export function dropPolygon() {
  outline.length = 0;
  emit("outline");
}

export function dropCorner() {
  outline.pop();
  emit("outline");
}

const within = (x, y) => state.layout.contains(Math.floor(x), Math.floor(y));

export const tools = {
  brush: freehand(() => [state.classId, 0]),
  eraser: freehand(() => [state.baseId, 0]),
  instance: freehand(instanceInk),
  line: dragged((x0, y0, x1, y1, write) => line(x0, y0, x1, y1, state.brush, write)),
  rectangle: dragged(rectangle),
  fill: {
    press(x, y) {
      if (!within(x, y)) return;
      begin();
      flood(state.layout, Math.floor(x), Math.floor(y), state.layout.writer(state.classId));
      touched();
      commit();
    },
  },
  polygon: {
    press(x, y) {
      const first = outline[0];
      if (first && outline.length > 2 && Math.hypot(x - first[0], y - first[1]) < 2) return closePolygon();
      outline.push([x, y]);
      emit("outline");
    },
  },
  pick: {
    press(x, y) {
      if (within(x, y)) set({ classId: state.layout.at(Math.floor(x), Math.floor(y)) });
    },
    move(x, y) {
      this.press(x, y);
    },
  },
  hand: {}, // the view handles it
};

/** Ends whatever is under way without a trace; whoever holds a button down holds nothing from now on. */
export function abandon() {
  if (isEditing()) cancel();
  if (outline.length) dropPolygon();
  emit("abandoned");
}

/** The cells a brush would cover, for the cursor. */
export function footprint(x, y, span) {
  disc(x, y, usesBrush(state.tool) ? state.brush : 1, span);
}

export const usesBrush = (tool) => ["brush", "eraser", "instance", "line"].includes(tool);
