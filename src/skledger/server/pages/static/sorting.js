// Tables that are whole on their page are sorted here: <table data-sortable="a name of its own">.
//
// Numbers sort by all their digits (those of the title, where fewer are shown), what has no value
// comes last in both directions, and groups stay together. A third click gives the order in which
// the table came.
const chosen = new Map();

function numberIn(text) {
  const found = /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?( ms)?$/i.exec(text);
  if (found) return parseFloat(text);
  return { inf: Infinity, "-inf": -Infinity }[text];
}

/** What a cell is sorted by: [group, value]; groups: numbers, texts, nothing. */
function keyOf(cell) {
  const time = cell?.querySelector("time");
  if (time) return [0, Date.parse(time.dateTime)];
  const text = cell?.textContent.trim() ?? "";
  for (const each of [cell?.querySelector("[title]")?.title ?? "", text]) {
    const number = numberIn(each);
    if (number !== undefined) return [0, number];
  }
  return text === "" || text === "–" || text.toLowerCase() === "nan" ? [2, text] : [1, text];
}

const words = new Intl.Collator(undefined, { numeric: true });

function compare([groupA, a], [groupB, b], falls) {
  if (groupA !== groupB) return groupA - groupB;
  const order = groupA === 0 ? a - b : words.compare(a, b);
  return falls && groupA !== 2 ? -order : order;
}

function sort(table) {
  const { column, falls } = chosen.get(table.dataset.sortable) ?? { column: -1 };
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    if (index === column) head.setAttribute("aria-sort", falls ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
    rows.forEach((row, index) => { row.dataset.place ??= index; });
    const keyed = rows.map((row) => ({ row, place: Number(row.dataset.place), key: keyOf(row.cells[column]) }));
    keyed.sort((a, b) => (column >= 0 && compare(a.key, b.key, falls)) || a.place - b.place);
    body.append(...keyed.map((each) => each.row));
  }
}

function choose(table, column) {
  const before = chosen.get(table.dataset.sortable);
  const number = table.tHead.rows[0].cells[column].classList.contains("num");
  // Numbers begin with the highest.
  if (before?.column !== column) chosen.set(table.dataset.sortable, { column, falls: number });
  else if (before.falls === number) chosen.set(table.dataset.sortable, { column, falls: !number });
  else chosen.delete(table.dataset.sortable);
  sort(table);
}

export function startSorting(root = document) {
  for (const table of root.querySelectorAll("table[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((head, index) => {
      if (head.querySelector("button, a, input") || !head.textContent.trim()) return;
      const button = document.createElement("button");
      const label = document.createElement("span");
      button.type = "button";
      button.className = "sort";
      label.append(...head.childNodes);
      button.append(label);
      head.append(button);
      button.addEventListener("click", () => choose(table, index));
    });
    if (chosen.has(table.dataset.sortable)) sort(table);
  }
}
