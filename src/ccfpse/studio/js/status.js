// The line below the panes, the size in the header, and the spinner.

import { byId } from "./dom.js";
import { nameOf } from "./picture.js";
import { on, state } from "./state.js";

function showPosition() {
  if (!state.cursor || !state.layout) return (byId("position").textContent = "");
  const [x, y] = state.cursor.map(Math.floor);
  const inside = state.layout.contains(x, y);
  return (byId("position").textContent = inside ? `${x}, ${y} · ${nameOf(state.layout.at(x, y))}` : "");
}

on("cursor", showPosition);
on("layout", (layout) => {
  if (layout) byId("size").textContent = `${layout.width} × ${layout.height}`;
});
on("busy", (busy) => (byId("spinner").hidden = !busy));
on("photo", (photo) => {
  byId("timing").textContent = photo ? `Photo in ${Math.round(photo.milliseconds)} ms` : "";
});
