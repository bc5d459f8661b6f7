// Parts that are asked for again: <tbody data-live="/address" data-every="3">.
//
// The answer's children replace those of the part, one by one by their ids, and only those that
// changed: what has the focus, is selected or open stays. An answer with the ETag of the last one
// (304) changes nothing. `data-now` asks at once; the server may say when to ask again
// (X-Live-Every: seconds), that the part is final (X-Live: done), and that what is around it has
// changed as well (X-Live-Outdated, told as the event live:outdated).
import { isAway, isBack } from "./away.js";

// How long an answer may take, in ms, and how long at most until a silent server is asked again.
const PATIENCE = 30000;
const LONGEST = 15000;
// How long after a first failure it is asked again, in ms.
const SOON = 2000;

// Attributes that scripts and people set, and that do not make two elements different.
function same(before, after) {
  return before.dataset.was === after.outerHTML;
}

function keep(before, after) {
  const boxes = new Map();
  for (const box of before.querySelectorAll("input[type=checkbox][name]")) {
    boxes.set(`${box.name}=${box.value}`, box.checked);
  }
  for (const box of after.querySelectorAll("input[type=checkbox][name]")) {
    const checked = boxes.get(`${box.name}=${box.value}`);
    if (checked !== undefined) box.checked = checked;
  }
  const focused = document.activeElement;
  if (!before.contains(focused)) return null;
  const all = [...before.querySelectorAll("a, button, input")];
  const place = all.indexOf(focused);
  return () => [...after.querySelectorAll("a, button, input")][place]?.focus();
}

/** Replace the children of `part` by those of `fresh`, keeping those that are the same. */
export function morph(part, fresh) {
  const old = new Map([...part.children].filter((each) => each.id).map((each) => [each.id, each]));
  const wanted = [...fresh.children];
  let changed = false;
  let cursor = part.firstElementChild;
  for (const next of wanted) {
    let element = next.id ? old.get(next.id) : undefined;
    const text = next.outerHTML;
    if (element && same(element, next)) {
      old.delete(next.id);
    } else {
      const refocus = element ? keep(element, next) : null;
      next.dataset.was = text;
      if (element) {
        if (cursor === element) cursor = next;
        element.replaceWith(next);
        old.delete(next.id);
        refocus?.();
      }
      element = next;
      changed = true;
    }
    if (element === cursor) cursor = element.nextElementSibling;
    else {
      part.insertBefore(element, cursor);
      changed = true;
    }
  }
  while (cursor) {
    const next = cursor.nextElementSibling;
    cursor.remove();
    changed = true;
    cursor = next;
  }
  return changed;
}

function remember(part) {
  for (const child of part.children) if (child.id && !child.dataset.was) child.dataset.was = child.outerHTML;
}

/** Ask for a part now; returns the answer. */
export async function refresh(part) {
  remember(part);
  const known = part.liveTag && part.liveOf === part.dataset.live;
  const asked = part.dataset.live;
  const answer = await fetch(asked, {
    headers: known ? { "If-None-Match": part.liveTag } : {},
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE),
  });
  // It may have been sent elsewhere in the meantime; then another answer is on its way.
  if (asked !== part.dataset.live) return answer;
  if (answer.headers.has("X-Live-Outdated")) part.dispatchEvent(new CustomEvent("live:outdated", { bubbles: true }));
  if (!answer.ok) return answer;
  part.liveTag = answer.headers.get("ETag") ?? "";
  part.liveOf = asked;
  const holder = document.createElement(part.tagName === "TBODY" ? "table" : "div");
  holder.innerHTML = await answer.text();
  const fresh = part.tagName === "TBODY" ? (holder.tBodies[0] ?? holder) : holder;
  if (morph(part, fresh)) part.dispatchEvent(new CustomEvent("live:changed", { bubbles: true }));
  return answer;
}

function follow(part) {
  let failures = 0;
  let silent = false;
  let first = "now" in part.dataset;
  let every = Math.max(1, Number(part.dataset.every) || 3) * 1000;
  let [timer, asked, idle] = [0, -Infinity, true];
  remember(part);
  const again = (wait) => {
    idle = true;
    timer = setTimeout(ask, wait);
  };
  async function ask() {
    idle = false;
    if (!part.isConnected) return;
    // What is there already waits while somebody chooses; what has not come yet does not.
    if (document.hidden || (!first && document.querySelector("details.menu[open]"))) return void again(every);
    first = false;
    const start = performance.now();
    asked = start;
    try {
      const answer = await refresh(part);
      failures = answer.ok || answer.status === 304 ? 0 : failures + 1;
      silent = answer.status >= 500;
      const wished = Number(answer.headers.get("X-Live-Every"));
      if (wished) every = wished * 1000;
      if (answer.headers.get("X-Live") === "done") return void isBack();
    } catch {
      failures += 1;
      silent = true;
    }
    // One that fails may be on its way: it is asked again soon, and the second time it is said.
    if (!silent) isBack();
    else if (failures > 1) isAway();
    if (failures === 1) return void again(Math.min(every, SOON));
    // A server that takes long to answer is asked less often.
    const pause = failures ? Math.max(every, Math.min(every * 2 ** (failures - 1), LONGEST)) : every;
    again(Math.max(pause, failures ? 0 : 10 * (performance.now() - start)));
  }
  // Who comes back to a page is shown what is so now.
  addEventListener("focus", () => {
    if (!idle || performance.now() - asked < SOON) return;
    clearTimeout(timer);
    ask();
  });
  again("now" in part.dataset ? 0 : every);
}

export function startLive(root = document) {
  for (const part of root.querySelectorAll("[data-live]")) follow(part);
}
