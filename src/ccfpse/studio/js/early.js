// Runs before the first paint, so that a chosen theme does not flash.
try {
  const theme = localStorage.getItem("ccfpse-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // storage is blocked: the system's theme it is
}
