// Before anything is drawn, so that a page never flashes in the other theme.
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("skledger-theme");
  } catch {
    // Without storage the system's choice counts.
  }
  if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  document.documentElement.classList.add("js");
})();
