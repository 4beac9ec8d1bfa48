// Small things the browser remembers; where it may not, reading gives null and the page goes on without.

function attempt(action) {
  try {
    return action();
  } catch {
    return null; // storage is blocked or full
  }
}

/** Over the page's end. */
export const recall = (key) => attempt(() => localStorage.getItem(key));
export const remember = (key, value) => attempt(() => localStorage.setItem(key, value));

/** For this tab alone. */
export const recallInTab = (key) => attempt(() => sessionStorage.getItem(key));
export const rememberInTab = (key, value) => attempt(() => sessionStorage.setItem(key, value));
