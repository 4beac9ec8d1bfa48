// Writes a layout as a PNG whose pixels are the class ids, and whose palette shows the class colours.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC = new Uint32Array(256).map((_, i) => {
  for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
  return i;
});

function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

function chunk(name, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(name), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc(bytes.subarray(4, content.length + 8)));
  return bytes;
}

async function compressed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function rows(layout, values, bytesPerPixel) {
  const stride = layout.width * bytesPerPixel + 1; // each row starts with its filter: 0, none
  const data = new Uint8Array(stride * layout.height);
  values.forEach((value, i) => {
    const at = Math.floor(i / layout.width) * stride + 1 + (i % layout.width) * bytesPerPixel;
    if (bytesPerPixel === 2) data[at] = value >> 8;
    data[at + bytesPerPixel - 1] = value & 255;
  });
  return data;
}

/** PNG blob of the layout: 8-bit palette where all ids fit, else 16-bit grey. colors: [r, g, b] per class. */
export async function layoutPng(layout, colors) {
  const wide = layout.ids.some((id) => id > 255);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, layout.width);
  view.setUint32(4, layout.height);
  header[8] = wide ? 16 : 8;
  header[9] = wide ? 0 : 3;
  const palette = new Uint8Array(768);
  colors.slice(0, 256).forEach((color, i) => palette.set(color, 3 * i));
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header)];
  if (!wide) parts.push(chunk("PLTE", palette));
  parts.push(chunk("IDAT", await compressed(rows(layout, layout.ids, wide ? 2 : 1))));
  parts.push(chunk("IEND", new Uint8Array()));
  return new Blob(parts, { type: "image/png" });
}
