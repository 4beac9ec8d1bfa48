// Short messages at the bottom, with an action where there is one.

import { byId, icon, make } from "./dom.js";

/**
 * Shows a message; action: {label, run}. Errors stay longer. A message shown already is not repeated: without an
 * action the shown one stays, with one the newer takes its place, for its action is about what came last.
 */
export function toast(message, { error = false, action = null } = {}) {
  const box = byId("toasts");
  const shown = [...box.children].find(({ dataset }) => dataset.message === message);
  if (shown && !action) return;
  shown?.remove();
  const element = make("div", { className: error ? "toast error" : "toast" }, make("p", { textContent: message }));
  element.dataset.message = message;
  const dismiss = () => element.remove();
  if (action) {
    const run = async () => {
      dismiss();
      try {
        await action.run();
      } catch (error) {
        fail(error);
      }
    };
    element.append(make("button", { type: "button", className: "link", textContent: action.label, onclick: run }));
  }
  const close = { type: "button", className: "icon", "aria-label": "Dismiss", onclick: dismiss };
  element.append(make("button", close, icon("close")));
  box.append(element);
  setTimeout(dismiss, error || action ? 9000 : 4500);
}

export const fail = (error) => toast(error.message, { error: true });
