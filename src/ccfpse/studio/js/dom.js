// Small helpers for elements.

export const byId = (id) => document.getElementById(id);

/** An element with properties (data-* and aria-* as attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** An icon of icons.svg; decorative, since its button has a name. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(element, name) {
  element.querySelector("svg")?.remove();
  element.prepend(icon(name));
}

let lastSpoken = "";

/** Tells screen readers; a repeated sentence is spoken once more. */
export function announce(text) {
  byId("announce").textContent = text === lastSpoken ? `${text}\u00a0` : text;
  lastSpoken = byId("announce").textContent;
}
