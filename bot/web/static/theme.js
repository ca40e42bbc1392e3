// Runs before anything is painted, so that a chosen theme does not flash the other one first.
{
  let theme = null;
  try {
    theme = localStorage.getItem("kiku.theme");
  } catch {
    // storage is switched off: the system's theme it is
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
