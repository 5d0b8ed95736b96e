// Before the first paint: the theme asked for in the address, else the one kept, else the page's own, else the system's.
(() => {
  const root = document.documentElement;
  let kept = null;
  try { kept = localStorage.getItem("theme"); } catch { /* a kiosk may forbid it */ }
  const asked = new URLSearchParams(location.search).get("theme") ?? kept ?? root.dataset.prefer;
  const dark = asked ? asked === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "dark" : "light";
})();
