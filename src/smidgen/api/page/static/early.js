// Before anything is painted: the theme that was chosen, so that nothing flashes.
(() => {
  try {
    const chosen = localStorage.getItem("smidgen.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing follows the system.
  }
})();
