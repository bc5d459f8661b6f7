// The server that does not answer: said once, on top of the page, until it answers again.
const moment = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

// How often the server is asked while somebody fills in a form, in ms.
const EVERY = 4000;

let notice = null;
let heard = new Date();

/** It answered. */
export function isBack() {
  heard = new Date();
  notice?.remove();
  notice = null;
  document.documentElement.classList.remove("is-away");
}

/** It did not; `more` is what that means for what somebody has just done. */
export function isAway(more = "") {
  if (!notice) {
    notice = document.createElement("div");
    notice.className = "notice notice-warn away";
    notice.setAttribute("role", "status");
    document.getElementById("main").before(notice);
    document.documentElement.classList.add("is-away");
  }
  const text = `The server does not answer. ${more || `What stands here is as it was at ${moment.format(heard)}; it goes on by itself when the server is back.`}`;
  if (notice.textContent !== text) notice.textContent = text;
}

/** Whether the server answers now. */
async function answers() {
  const home = document.querySelector(".brand").href;
  try {
    await fetch(new URL("health", home.endsWith("/") ? home : `${home}/`), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    return true;
  } catch {
    return false;
  }
}

/** Whoever fills in a form hears of it, and the browser does not throw away what was typed. */
export function guardForms() {
  const posting = (element) => element?.closest?.("form[method=post]");
  const ask = async () => ((await answers()) ? isBack() : isAway());
  let asked = -Infinity;
  const look = () => {
    if (!posting(document.activeElement) || document.hidden || performance.now() - asked < EVERY / 2) return;
    asked = performance.now();
    ask();
  };
  document.addEventListener("focusin", look);
  setInterval(look, EVERY);
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (event.defaultPrevented || !notice || !posting(form)) return;
    event.preventDefault();
    const { submitter } = event;
    if (await answers()) {
      isBack();
      form.requestSubmit(submitter);
      return;
    }
    form.closest("dialog")?.close();
    isAway("Nothing was sent, and what you typed is still here: send it again when the server is back.");
  });
}
