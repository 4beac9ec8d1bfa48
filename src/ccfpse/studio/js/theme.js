// Light or dark: the system's choice until the person makes one.

import { byId } from "./dom.js";
import { remember } from "./memory.js";

const root = document.documentElement;

byId("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
  root.dataset.theme = theme;
  remember("ccfpse-theme", theme);
});
