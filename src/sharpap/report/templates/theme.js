"use strict";
// Colours follow the system unless the reader says otherwise; the choice is kept where the browser allows it.
(() => {
  const root = document.documentElement;
  const names = ["auto", "light", "dark"];
  const show = (theme) => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.dataset.theme = theme;
  };
  let theme = "auto";
  try {
    theme = localStorage.getItem("sharpap-theme") || "auto";
  } catch { /* no storage for files in this browser */ }
  if (!names.includes(theme)) theme = "auto";
  show(theme);
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector("button.theme");
    const name = () => { button.textContent = `Colours: ${theme}`; };
    button.hidden = false;
    name();
    button.addEventListener("click", () => {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      show(theme);
      name();
      try {
        localStorage.setItem("sharpap-theme", theme);
      } catch { /* then it lasts as long as the page */ }
    });
  });
})();
