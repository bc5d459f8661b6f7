// The page of a run: find a metric or param, and notice when a running run has ended.
import { freshenTimes } from "./times.js";

function startFinding() {
  const bar = document.querySelector("[data-find]");
  if (!bar) return;
  const field = bar.querySelector("input");
  const told = bar.querySelector("[data-found]");
  bar.hidden = false;
  const find = () => {
    const words = field.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const table of document.querySelectorAll("table[data-finds]")) {
      const before = found;
      for (const body of table.tBodies) {
        let any = false;
        for (const row of body.rows) {
          if (row.classList.contains("group")) continue;
          const text = row.textContent.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
          if (!row.hidden) {
            any = true;
            found += 1;
          }
        }
        const group = body.querySelector("tr.group");
        if (group) group.hidden = !any;
      }
      const wrap = table.closest(".table-wrap");
      wrap.hidden = words.length > 0 && found === before;
      const count = wrap.closest("section").querySelector("h2 .count");
      count.dataset.all ??= count.textContent;
      count.textContent = words.length ? `${found - before} of ${count.dataset.all}` : count.dataset.all;
    }
    told.textContent = words.length ? (found === 1 ? "1 found" : `${found} found`) : "";
  };
  field.addEventListener("input", find);
  document.addEventListener("live:changed", find);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !field.value) return;
    field.value = "";
    find();
  });
  find();
}

function startWatching() {
  const part = document.querySelector("[data-run-state]");
  part?.addEventListener("live:changed", () => {
    const told = document.getElementById("run-now")?.dataset ?? {};
    // What its tabs count goes on as well.
    for (const name of ["metrics", "children"]) {
      const count = document.querySelector(`.tabs a[href$="/${name}"] .count`);
      if (count && told[name]) count.textContent = told[name];
    }
    const now = told.status;
    if (!now || now === part.dataset.runState) return;
    // Its head, files and models are new as well; what somebody is typing stays.
    if (document.querySelector("dialog[open], .run-side details[open] form")) freshenHead();
    else location.reload();
  });
}

/** Show what came with the end of the run around what somebody is typing. */
async function freshenHead() {
  const answer = await fetch(location.href, { cache: "no-store" });
  if (!answer.ok) return;
  const whole = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const place of [".page-head .meta", "nav.tabs"]) {
    const fresh = whole.querySelector(place);
    if (!fresh) continue;
    document.querySelector(place).replaceWith(fresh);
    freshenTimes(fresh);
  }
  const about = document.getElementById("h-about")?.closest("section");
  for (const title of whole.querySelectorAll("[id^=h-model-], #h-data")) {
    if (!document.getElementById(title.id)) about?.before(title.closest("section"));
  }
  const pictures = whole.getElementById("pictures");
  if (pictures && !document.getElementById("pictures")) document.querySelector(".run-left")?.append(pictures);
  for (const more of whole.querySelectorAll("dialog[id^=register-], datalist[id]")) {
    if (!document.getElementById(more.id)) document.getElementById("main").append(more);
  }
}

/** What is chosen in the tree is in sight. */
function startTree() {
  const card = document.querySelector(".tree-card");
  const current = card?.querySelector("[aria-current]");
  if (current) card.scrollTop = Math.max(0, current.offsetTop - card.clientHeight / 2);
}

/** Arrows go from picture to picture. */
function startPaging() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.defaultPrevented) return;
    if (event.target.closest?.("input, textarea, select, dialog[open], .table-wrap, pre")) return;
    const link = document.querySelector(`a[data-key="${event.key}"]`);
    if (!link) return;
    event.preventDefault();
    link.click();
  });
}

startPaging();
startFinding();
startWatching();
startTree();
