// `/` goes to the filter, arrows walk the rows, enter opens, x selects, ? tells all of it.
function typing(target) {
  return target.closest?.("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]");
}

function links() {
  return [...document.querySelectorAll("a[data-row]")].filter((each) => each.offsetParent);
}

function walk(step) {
  const all = links();
  if (!all.length) return false;
  const row = document.activeElement.closest?.("tr");
  const here = row ? all.findIndex((each) => each.closest("tr") === row) : -1;
  const next = here < 0 ? (step > 0 ? 0 : all.length - 1) : here + step;
  const target = all[Math.min(Math.max(next, 0), all.length - 1)];
  target.focus({ focusVisible: true });
  target.scrollIntoView({ block: "nearest" });
  return true;
}

const KEYS = {
  "/": () => {
    const field = document.querySelector("[data-filter]");
    field?.focus();
    field?.select?.();
    return Boolean(field);
  },
  "?": () => {
    const help = document.getElementById("keys");
    if (!help || help.open) return false;
    help.showModal();
    return true;
  },
  ArrowDown: () => walk(1),
  ArrowUp: () => walk(-1),
  j: () => walk(1),
  k: () => walk(-1),
  x: () => {
    const box = document.activeElement.closest?.("tr")?.querySelector(".pick input[type=checkbox]");
    box?.click();
    return Boolean(box);
  },
};

/** The row that was left is the one to come back to. */
function startReturn() {
  const key = () => `row:${location.pathname}${location.search}`;
  addEventListener("pagehide", () => {
    const link = document.activeElement?.closest?.("a[data-row]");
    if (link) sessionStorage.setItem(key(), link.getAttribute("href"));
    else sessionStorage.removeItem(key());
  });
  addEventListener("pageshow", (event) => {
    const back = event.persisted || performance.getEntriesByType("navigation")[0]?.type === "back_forward";
    const href = back && sessionStorage.getItem(key());
    if (!href || document.activeElement !== document.body) return;
    links().find((each) => each.getAttribute("href") === href)?.focus({ focusVisible: true });
  });
}

export function startKeyboard() {
  startReturn();
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && event.target.matches("[data-filter]")) event.target.blur();
      return;
    }
    const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    // Arrows within charts, menus and scrolled boxes belong to these.
    if (event.key.startsWith("Arrow") && event.target.closest?.("[role=img], .menu, .tabs, video, audio")) return;
    if (KEYS[event.key]?.()) event.preventDefault();
  });
}
