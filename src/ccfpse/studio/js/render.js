// Draws both panes, once per frame at most.

import { byId } from "./dom.js";
import { layoutPicture } from "./picture.js";
import { on, state } from "./state.js";
import { footprint, outline } from "./tools.js";
import { view } from "./view.js";

let scheduled = false;
let picture = null; // canvas of the layout, null when it must be made anew

function invalidate() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  if (!state.layout || !state.classes) return;
  picture ??= layoutPicture();
  paint(byId("layout-canvas"), (context, width) => {
    if (state.view === "wipe") drawWipe(context, width);
    else drawOver(context, state.opacity);
  });
  if (state.view === "side") paint(byId("photo-canvas"), drawPhoto);
}

/** Clears a pane and calls `content(context, width, height)` in CSS pixels; then the frame and the cursor. */
function paint(canvas, content) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = window.devicePixelRatio;
  const [deviceWidth, deviceHeight] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== deviceWidth || canvas.height !== deviceHeight) {
    [canvas.width, canvas.height] = [deviceWidth, deviceHeight];
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  content(context, width, height);
  drawCursor(context);
  drawOutline(context);
}

function drawImage(context, image, smooth) {
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, view.x, view.y, state.layout.width * view.scale, state.layout.height * view.scale);
}

function drawPhoto(context) {
  if (state.photo) drawImage(context, state.photo.bitmap, true);
}

function drawOver(context, opacity) {
  if (opacity < 1) drawPhoto(context);
  context.globalAlpha = state.photo ? opacity : 1;
  drawImage(context, picture, view.scale < 1);
  context.globalAlpha = 1;
}

function drawWipe(context, width) {
  drawPhoto(context);
  context.save();
  context.beginPath();
  context.rect(0, 0, width * state.wipe, context.canvas.clientHeight);
  context.clip();
  context.clearRect(0, 0, width * state.wipe, context.canvas.clientHeight);
  drawOver(context, state.opacity);
  context.restore();
}

/** Strokes the current path so that it can be seen on any colour. */
function strokeTwice(context, inner) {
  context.lineJoin = "round";
  context.lineWidth = 3;
  context.strokeStyle = "rgb(255 255 255 / 90%)";
  context.stroke();
  context.lineWidth = 1.2;
  context.strokeStyle = inner;
  context.stroke();
}

function drawCursor(context) {
  if (!state.cursor || state.tool === "hand") return;
  const [left, right] = [[], []];
  footprint(...state.cursor, (from, to, y) => {
    right.push([to, y], [to, y + 1]);
    left.unshift([from, y + 1], [from, y]);
  });
  context.beginPath();
  for (const [x, y] of [...right, ...left]) context.lineTo(view.x + x * view.scale, view.y + y * view.scale);
  context.closePath();
  strokeTwice(context, "rgb(0 0 0 / 85%)");
}

function drawOutline(context) {
  if (!outline.length) return;
  context.beginPath();
  for (const [x, y] of state.cursor ? [...outline, state.cursor] : outline) {
    context.lineTo(view.x + x * view.scale, view.y + y * view.scale);
  }
  context.closePath();
  strokeTwice(context, "rgb(0 0 0 / 85%)");
  for (const [x, y] of outline) {
    context.beginPath();
    context.arc(view.x + x * view.scale, view.y + y * view.scale, 3.5, 0, 7);
    context.fillStyle = "white";
    context.fill();
    strokeTwice(context, "black");
  }
}

for (const name of ["pixels", "layout", "classes"]) {
  on(name, () => {
    picture = null;
    invalidate();
  });
}
for (const name of ["redraw", "photo", "cursor", "outline", "tool", "brush", "opacity", "view", "wipe"]) {
  on(name, invalidate);
}
