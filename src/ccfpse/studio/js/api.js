// The server: one function per endpoint, errors with a code, the token where one is asked for.

import { askToken, currentToken } from "./token.js";

export class ApiError extends Error {
  constructor(status, code, message, retryAfter) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

async function call(path, options = {}) {
  const token = currentToken();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) {
    await askToken(Boolean(token));
    return call(path, options);
  }
  const { code = "error", message = response.statusText } = await response.json().catch(() => ({}));
  throw new ApiError(response.status, code, message, Number(response.headers.get("Retry-After")));
}

const json = async (path, options) => (await call(path, options)).json();
const modelPath = (model, rest) => `/v1/models/${encodeURIComponent(model)}/${rest}`;

function form(fields) {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) body.append(name, value);
  return { method: "POST", body };
}

export const models = () => json("/v1/models");
export const classes = (model) => json(modelPath(model, "classes"));
export const layouts = async (model) => (await json(modelPath(model, "layouts"))).layouts;

/** {labels, instances} of a bundled layout as PNG blobs; instances is null for a model without. */
export async function bundledLayout(model, name) {
  const path = modelPath(model.name, `layouts/${encodeURIComponent(name)}`);
  const [labels, instances] = await Promise.all([call(path), model.uses_instances ? call(`${path}/instances`) : null]);
  return { labels: await labels.blob(), instances: instances && (await instances.blob()) };
}

export async function randomStyle(model, seed, signal) {
  return (await json(modelPath(model, `styles?seed=${seed}`), { signal })).styles[0];
}

export async function styleOfPhoto(model, file) {
  return (await json(modelPath(model, "encode-style"), form({ reference: file }))).styles[0];
}

/** {width, height, planes} of a label PNG and maybe an instance PNG; nearest: for colours of no class. */
export async function readLayout(model, labels, instances, nearest) {
  const fields = { labels, instances: instances ?? undefined, nearest };
  const response = await call(modelPath(model, "read-layout"), form(fields));
  const [width, height] = ["X-Width", "X-Height"].map((name) => Number(response.headers.get(name)));
  const buffer = await response.arrayBuffer();
  const size = 2 * width * height;
  const planes = Array.from({ length: buffer.byteLength / size }, (_, i) => fromLittleEndian(buffer, i * size, size));
  return { width, height, planes };
}

function fromLittleEndian(buffer, start, size) {
  const view = new DataView(buffer, start, size);
  return Uint16Array.from({ length: size / 2 }, (_, i) => view.getUint16(2 * i, true));
}

function littleEndian(values) {
  const view = new DataView(new ArrayBuffer(2 * values.length));
  values.forEach((value, i) => view.setUint16(2 * i, value, true));
  return new Blob([view]);
}

// Cells that belong to no instance form one with their neighbours of the same class, as engines do it by default.
const OF_CLASS = 40_000; // painted instances stay below

function instancesToSend({ ids, instances }) {
  return instances.map((instance, i) => instance || OF_CLASS + (ids[i] % OF_CLASS));
}

/** One photo (PNG blob) per style vector; several come as a zip. styles: [] for a model without. */
export async function generate(model, layout, styles, signal) {
  const options = form({
    model: model.name,
    width: layout.width,
    height: layout.height,
    labels: littleEndian(layout.ids),
    instances: model.uses_instances ? littleEndian(instancesToSend(layout)) : undefined,
    style: styles.length ? JSON.stringify(styles) : undefined,
  });
  return (await call("/v1/generate", { ...options, signal })).blob();
}
