// A label map: class ids and instance ids as integers, never as colours.

export class Layout {
  constructor(width, height, ids = null, instances = null) {
    this.width = width;
    this.height = height;
    this.ids = ids ?? new Uint16Array(width * height);
    this.instances = instances ?? new Uint16Array(width * height); // 0: none
  }

  static blank(width, height, id) {
    const layout = new Layout(width, height);
    layout.ids.fill(id);
    return layout;
  }

  copy() {
    return new Layout(this.width, this.height, this.ids.slice(), this.instances.slice());
  }

  /** Takes over the pixels of a layout of the same size. */
  assign(other) {
    this.ids.set(other.ids);
    this.instances.set(other.instances);
  }

  contains(x, y) {
    return x >= 0 && y >= 0 && x < this.width && y < this.height;
  }

  at(x, y) {
    return this.ids[y * this.width + x];
  }

  /** Nearest neighbour at pixel centres: a resized layout has no id that it had not before. */
  resized(width, height) {
    const result = new Layout(width, height);
    for (let y = 0; y < height; y++) {
      const row = Math.floor(((y + 0.5) * this.height) / height) * this.width;
      for (let x = 0; x < width; x++) {
        const from = row + Math.floor(((x + 0.5) * this.width) / width);
        result.ids[y * width + x] = this.ids[from];
        result.instances[y * width + x] = this.instances[from];
      }
    }
    return result;
  }

  /** A span writer that sets class and instance, clipped to the layout. */
  writer(id, instance = 0) {
    return (from, to, y) => {
      if (y < 0 || y >= this.height) return;
      const start = y * this.width + Math.max(0, from);
      const end = y * this.width + Math.min(this.width, to);
      if (end <= start) return;
      this.ids.fill(id, start, end);
      this.instances.fill(instance, start, end);
    };
  }

  freeInstance() {
    let top = 0;
    for (const id of this.instances) if (id > top) top = id;
    return Math.min(top + 1, 39_999);
  }
}
