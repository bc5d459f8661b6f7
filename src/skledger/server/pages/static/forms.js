// Small services for forms; each works without them, with one more click.
import { guardForms } from "./away.js";
import { startSending } from "./sending.js";

/** A form with `data-auto` is sent when a choice in it changes. */
function startAuto() {
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]");
    if (form && event.target.matches("select, input[type=checkbox], input[type=radio]")) form.requestSubmit();
  });
}

/** Fields that are empty do not lengthen addresses. */
function startTidy() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "get") return;
    for (const field of form.elements) {
      if (field.name && field.value === "" && !field.disabled) {
        field.disabled = true;
        setTimeout(() => { field.disabled = false; });
      }
    }
  });
}

/** `data-select-all` ticks the boxes of its table; `[data-selected-count]` tells how many are. */
function startSelection() {
  const count = () => {
    for (const bar of document.querySelectorAll("[data-selection]")) {
      const boxes = [...document.querySelectorAll(`input[form="${bar.dataset.selection}"][type=checkbox][name]`)];
      const picked = boxes.filter((each) => each.checked).length;
      for (const told of bar.querySelectorAll("[data-selected-count]")) {
        told.textContent = picked ? `${picked} selected` : "";
      }
      for (const button of bar.querySelectorAll("[data-least]")) {
        button.disabled = picked < Number(button.dataset.least);
      }
      const all = document.querySelector("[data-select-all]");
      if (all) {
        all.checked = picked > 0 && picked === boxes.length;
        all.indeterminate = picked > 0 && picked < boxes.length;
      }
    }
  };
  let last = null;
  document.addEventListener("click", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || box.type !== "checkbox") return;
    if (box.matches("[data-select-all]")) {
      for (const each of box.closest("table").querySelectorAll(".pick input[name]")) each.checked = box.checked;
    } else if (box.closest(".pick")) {
      // With shift, all from the last one to this.
      const boxes = [...box.closest("table").querySelectorAll(".pick input[name]")];
      if (event.shiftKey && last && boxes.includes(last)) {
        const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
        for (const each of boxes.slice(from, to + 1)) each.checked = box.checked;
      }
      last = box;
    }
    count();
  });
  document.addEventListener("live:changed", count);
  addEventListener("pageshow", count);
  count();
}

export function enhanceForms() {
  startAuto();
  startTidy();
  startSelection();
  guardForms();
  startSending(); // after what keeps a form back
}
