// The run table: children opened in place, keys into the filter, columns found by their names.
import { morph, refresh } from "./live.js";

/** Take head and rows from the page of another address: with other runs, other columns differ. */
async function replaceTable(body, address) {
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const table = page.querySelector("table.runs");
  const picked = document.querySelector("[data-select-all]");
  const every = table.querySelector("[data-select-all]");
  every.checked = picked.checked;
  every.indeterminate = picked.indeterminate;
  body.previousElementSibling.replaceWith(table.tHead);
  document.getElementById("more-columns").replaceWith(page.getElementById("more-columns"));
  body.dataset.live = table.tBodies[0].dataset.live;
  morph(body, table.tBodies[0]);
  body.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
}

// Runs that came have other metrics or params: columns for them.
document.querySelector("table.runs")?.addEventListener("live:outdated", (event) => {
  replaceTable(event.target, location.href).catch(() => {}); // it is told again
});

/** Open or close the runs below a run; the address keeps it, and so do the next updates. */
async function toggle(link) {
  const body = link.closest("tbody");
  const opened = link.getAttribute("aria-expanded") === "true";
  const id = link.dataset.toggle;
  const change = (address) => {
    const url = new URL(address, location.href);
    const open = url.searchParams.getAll("open").filter((each) => each !== id);
    url.searchParams.delete("open");
    for (const each of opened ? open : [...open, id]) url.searchParams.append("open", each);
    return url.pathname + url.search;
  };
  const address = change(location.href);
  link.setAttribute("aria-busy", "true");
  if (new URLSearchParams(location.search).has("columns")) {
    body.dataset.live = change(body.dataset.live);
    await refresh(body);
  } else {
    await replaceTable(body, address);
  }
  history.replaceState(null, "", address + location.hash);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-toggle]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  toggle(link).catch(() => { location.href = link.href; });
});

// Arrows right and left open and close the row that has the focus.
document.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
  const link = event.target.closest?.("tr")?.querySelector("[data-toggle]");
  if (!link || event.target.closest("input")) return;
  if ((event.key === "ArrowRight") === (link.getAttribute("aria-expanded") === "false")) {
    event.preventDefault();
    toggle(link);
  }
});

for (const field of document.querySelectorAll("[data-narrows]")) {
  field.hidden = false;
  const labels = [...document.getElementById(field.dataset.narrows).querySelectorAll("label")];
  // What is found is what is meant: a column that is called so, else the first that is not there yet.
  field.addEventListener("keydown", (event) => {
    const words = field.value.trim().toLowerCase();
    if (event.key !== "Enter" || !words) return;
    event.preventDefault();
    const called = (label) => label.textContent.trim().toLowerCase() === words;
    const found = labels.filter((label) => !label.hidden);
    const meant = found.find(called) ?? found.find((label) => !label.control.checked);
    if (!meant) return;
    meant.control.checked = true;
    field.form.requestSubmit();
  });
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase();
    for (const label of labels) label.hidden = !label.textContent.toLowerCase().includes(words);
    for (const group of document.querySelectorAll(`#${field.dataset.narrows} fieldset`)) {
      group.hidden = ![...group.querySelectorAll("label")].some((label) => !label.hidden);
    }
  });
}

// What the table is sorted by is in sight.
const heading = document.querySelector("table.runs th[aria-sort]");
const wrap = heading?.closest(".table-wrap");
if (wrap && !wrap.scrollLeft) {
  wrap.scrollLeft = Math.max(0, heading.getBoundingClientRect().right - wrap.getBoundingClientRect().right + 1);
}

// The first run of an empty table: the page that has a table for it.
const first = document.querySelector("[data-first-rows]");
first?.addEventListener("live:changed", () => location.reload());

// How many rows there are when more of them come.
document.querySelector("table.runs")?.addEventListener("live:changed", (event) => {
  const last = document.querySelector("[data-to-row]");
  if (!last || event.target.tagName !== "TBODY") return;
  const rows = event.target.querySelectorAll("tr[data-top]").length;
  last.textContent = (Number(last.dataset.toRow) + rows - 1).toLocaleString("en");
  const count = document.querySelector("[data-run-count]");
  if (count) refresh(count).catch(() => {});
});

// What the question is about: how many runs, and the names of the first.
document.getElementById("delete-picked")?.addEventListener("toggle", (event) => {
  const told = event.target.querySelector("[data-picked-names]");
  const boxes = [...document.querySelectorAll("input[name=run][form=picked]:checked")];
  if (event.newState !== "open" || !boxes.length) return;
  const names = boxes.slice(0, 5).map((box) => box.closest("tr").querySelector(".row-link").textContent);
  const more = boxes.length > 5 ? `, and ${boxes.length - 5} more` : "";
  told.textContent = `${boxes.length} ${boxes.length === 1 ? "run" : "runs"}: ${names.join(", ")}${more}.`;
  told.hidden = false;
});

// How many runs go with an experiment: counted when somebody asks.
document.getElementById("delete-experiment")?.addEventListener("toggle", async (event) => {
  const told = event.target.querySelector("[data-total]");
  if (event.newState !== "open" || told.textContent) return;
  const answer = await fetch(told.dataset.total).catch(() => null);
  if (answer?.ok) told.textContent = `, ${(await answer.text())}`;
});

// What was just done is told once: it is no part of an address to keep.
const here = new URL(location.href);
for (const word of ["deleted", "restored"]) {
  here.searchParams.delete(word);
  here.searchParams.delete(`${word}_count`);
}
if (here.search.length < location.search.length - 8) history.replaceState(history.state, "", here);
