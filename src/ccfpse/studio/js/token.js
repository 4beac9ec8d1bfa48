// The token of a protected server: taken from the link's fragment, or asked for.

import { recallInTab, rememberInTab } from "./memory.js";

const KEY = "ccfpse-token";
const SOUND = /^[\x21-\x7e]+$/; // what a header can carry; pasted text may hide other characters

let token = recallInTab(KEY);
if (!SOUND.test(token ?? "")) token = null;

function keep(entered) {
  token = entered;
  rememberInTab(KEY, entered);
}

const given = new URLSearchParams(location.hash.slice(1)).get("token")?.trim();
if (given) {
  if (SOUND.test(given)) keep(given);
  history.replaceState(null, "", location.pathname);
}

/** The token to send, or null. */
export const currentToken = () => token;

let asking = null;

/** Resolves when the person has entered a token; several requests share one question. */
export function askToken(again) {
  asking ??= new Promise((resolve) => {
    const dialog = document.getElementById("token-dialog");
    const input = document.getElementById("token");
    const wrong = document.getElementById("token-wrong");
    wrong.hidden = !again;
    const stay = (event) => event.preventDefault();
    const close = () => {
      const entered = input.value.trim();
      if (!SOUND.test(entered)) {
        wrong.hidden = false;
        return dialog.showModal();
      }
      keep(entered);
      asking = null;
      dialog.removeEventListener("cancel", stay);
      dialog.removeEventListener("close", close);
      return resolve();
    };
    dialog.addEventListener("cancel", stay);
    dialog.addEventListener("close", close);
    dialog.showModal();
  });
  return asking;
}
