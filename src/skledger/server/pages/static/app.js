// What every page has: times in the viewer's zone, theme, keyboard, dialogs, copying, live parts.
import { freshenTimes } from "./times.js";
import { startKeyboard } from "./keyboard.js";
import { startLive } from "./live.js";
import { enhanceForms } from "./forms.js";
import { startSorting } from "./sorting.js";

function startTheme() {
  const button = document.querySelector("[data-theme-switch]");
  if (!button) return;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const current = () =>
    document.documentElement.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => {
    const other = current() === "dark" ? "light" : "dark";
    button.setAttribute("aria-label", `Use the ${other} theme`);
    button.title = `Use the ${other} theme`;
  };
  button.hidden = false;
  label();
  button.addEventListener("click", () => {
    const next = current() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("skledger-theme", next);
    } catch {
      // It then holds for this page.
    }
    label();
    document.dispatchEvent(new CustomEvent("themechange"));
  });
  dark.addEventListener("change", () => {
    label();
    document.dispatchEvent(new CustomEvent("themechange"));
  });
}

function startCopying() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    const from = button.dataset.copyFrom;
    const text = from ? document.getElementById(from).innerText : button.dataset.copy;
    const told = button.querySelector("[data-copied]") || button;
    const before = told.textContent;
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "Copied";
    } catch {
      told.textContent = "Select and copy by hand";
    }
    setTimeout(() => { told.textContent = before; }, 1500);
  });
}

function startDialogs() {
  // Browsers that know `command` do this by themselves.
  if (!("command" in HTMLButtonElement.prototype)) {
    document.addEventListener("click", (event) => {
      const button = event.target.closest("button[commandfor]");
      const target = button && document.getElementById(button.getAttribute("commandfor"));
      if (!target) return;
      if (button.getAttribute("command") === "show-modal") target.showModal();
      else if (button.getAttribute("command") === "close") target.close();
    });
  }
  document.addEventListener("click", (event) => {
    // A click beside a dialog closes it; so does one beside an open menu.
    if (event.target instanceof HTMLDialogElement) {
      const box = event.target.getBoundingClientRect();
      const inside = event.clientX >= box.left && event.clientX <= box.right
        && event.clientY >= box.top && event.clientY <= box.bottom;
      if (!inside) event.target.close();
    }
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}

function startMenus() {
  document.addEventListener("toggle", (event) => {
    const menu = event.target;
    if (menu instanceof HTMLElement && menu.matches("details.menu[open]")) {
      menu.querySelector(".menu-body input:not([type=hidden], [type=checkbox], [hidden])")?.focus();
    } else if (menu instanceof HTMLElement && menu.matches("details:is(.fold, .tag)[open]")) {
      menu.querySelector("form[method=post] .input")?.focus();
    }
  }, true);
}

/** A form that was refused is answered below its own address; that of the page is what may be shared. */
function startAddress() {
  const address = document.querySelector("[data-address]")?.dataset.address;
  if (address) history.replaceState(history.state, "", address);
}

startTheme();
startAddress();
startMenus();
startCopying();
startDialogs();
// Before times are put into words: a live part remembers what the server sent.
startLive();
freshenTimes(document);
setInterval(() => freshenTimes(document), 20000);
startSorting();
document.addEventListener("live:changed", (event) => {
  freshenTimes(event.target);
  startSorting(event.target);
});
startKeyboard();
enhanceForms();
