// Forms with fields are sent in place: what is refused is told at the field, what was typed stays.
// Without scripts the refusal is a page of its own, with a way back.
import { isAway } from "./away.js";

const FIELDS = ":is(input, textarea, select).input[name]";

/** Say below the field of a form why it was refused, until something else is typed. */
function tell(form, message) {
  const fields = [...form.querySelectorAll(FIELDS)];
  const [field] = fields;
  const id = `${field.id.replace(/-name$/, "")}-error`;
  let told = document.getElementById(id);
  if (!told) {
    told = document.createElement("p");
    told.className = "error-text";
    told.id = id;
    told.setAttribute("role", "alert");
    const around = form.matches(".form-row, .inline-form") ? null : field.closest(".field");
    if (around) around.after(told);
    else form.append(told);
  }
  told.textContent = message;
  // Of several, the words say which one is meant.
  if (fields.length === 1) field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", id);
  field.focus();
  form.addEventListener("input", () => {
    told.remove();
    field.removeAttribute("aria-invalid");
    field.removeAttribute("aria-describedby");
  }, { once: true });
}

function go(address) {
  const target = new URL(address, location.href);
  if (target.href === location.href.split("#")[0]) location.reload();
  else location.assign(target);
}

async function send(form, submitter) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
  const told = await answer.json().catch(() => ({}));
  if (answer.ok && told.location) return go(told.location);
  return tell(form, told.message ?? `The server refused it (${answer.status}).`);
}

export function startSending() {
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || !form.querySelector(FIELDS)) return;
    event.preventDefault();
    if (form.ariaBusy) return;
    form.ariaBusy = "true";
    try {
      await send(form, event.submitter);
    } catch {
      form.closest("dialog")?.close();
      isAway("What you typed is still here: send it again when the server is back.");
    } finally {
      form.ariaBusy = null;
    }
  });
}
