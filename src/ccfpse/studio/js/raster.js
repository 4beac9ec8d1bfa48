// Shapes as spans of whole cells: `span(from, to, y)` gets x in [from, to). No edge is ever blended.

/** A disc of `diameter` cells around the point (x, y), which is in cells and may be fractional. */
export function disc(x, y, diameter, span) {
  const centre = (value) => (diameter % 2 ? Math.floor(value) + 0.5 : Math.round(value));
  const [cx, cy, radius] = [centre(x), centre(y), diameter / 2];
  for (let row = Math.floor(cy - radius); row < cy + radius; row++) {
    const reach = radius * radius - (row + 0.5 - cy) ** 2;
    if (reach < 0) continue;
    const half = Math.sqrt(reach);
    const [from, to] = [Math.ceil(cx - half - 0.5), Math.floor(cx + half - 0.5) + 1];
    if (to > from) span(from, to, row);
  }
}

/** Discs from one point to another, close enough to leave no gap. */
export function line(x0, y0, x1, y1, diameter, span) {
  const steps = Math.max(1, Math.ceil(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0))));
  for (let i = 0; i <= steps; i++) {
    const t = i / steps;
    disc(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t, diameter, span);
  }
}

/** The filled rectangle between two cells, both included. */
export function rectangle(x0, y0, x1, y1, span) {
  const [left, right] = [Math.floor(Math.min(x0, x1)), Math.floor(Math.max(x0, x1)) + 1];
  for (let y = Math.floor(Math.min(y0, y1)); y <= Math.floor(Math.max(y0, y1)); y++) span(left, right, y);
}

/** A filled polygon (even-odd rule at cell centres) with its outline, so that thin ones do not vanish. */
export function polygon(points, span) {
  const ys = points.map(([, y]) => y);
  for (let row = Math.floor(Math.min(...ys)); row <= Math.max(...ys); row++) {
    const centre = row + 0.5;
    const crossings = [];
    points.forEach(([x0, y0], i) => {
      const [x1, y1] = points[(i + 1) % points.length];
      if (y0 <= centre !== y1 <= centre) crossings.push(x0 + ((centre - y0) * (x1 - x0)) / (y1 - y0));
    });
    crossings.sort((a, b) => a - b);
    for (let i = 0; i + 1 < crossings.length; i += 2) {
      span(Math.ceil(crossings[i] - 0.5), Math.ceil(crossings[i + 1] - 0.5), row);
    }
  }
  points.forEach(([x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length];
    line(x0, y0, x1, y1, 1, span);
  });
}

/** The 4-connected area of one class and instance around a cell. */
export function flood(layout, x, y, span) {
  const { width, height, ids, instances } = layout;
  const [id, instance] = [ids[y * width + x], instances[y * width + x]];
  const seen = new Uint8Array(width * height);
  const inside = (at) => !seen[at] && ids[at] === id && instances[at] === instance;
  const spans = [];
  const stack = [[x, y]];
  while (stack.length) {
    const [column, row] = stack.pop();
    const start = row * width;
    if (!inside(start + column)) continue;
    let [from, to] = [column, column + 1];
    while (from > 0 && inside(start + from - 1)) from--;
    while (to < width && inside(start + to)) to++;
    seen.fill(1, start + from, start + to);
    spans.push([from, to, row]);
    for (const next of [row - 1, row + 1]) {
      if (next < 0 || next >= height) continue;
      for (let i = from; i < to; i++) {
        const at = next * width + i;
        if (inside(at) && (i === from || !inside(at - 1))) stack.push([i, next]);
      }
    }
  }
  for (const [from, to, row] of spans) span(from, to, row);
}
