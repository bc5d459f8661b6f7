// Moments in the viewer's zone and language, durations that go on.
const full = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium", timeStyle: "medium",
});
const zone = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });
const thisYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
});
const otherYear = new Intl.DateTimeFormat(undefined, {
  day: "numeric", month: "short", year: "numeric",
});

function zoneName(date) {
  return zone.formatToParts(date).find((part) => part.type === "timeZoneName")?.value ?? "";
}

/** Words for a moment: near ones by their distance, others by their date. */
export function momentText(ms, now = Date.now()) {
  const date = new Date(ms);
  const seconds = (now - ms) / 1000;
  if (seconds > -5 && seconds < 50) return "just now";
  if (seconds >= 50 && seconds < 3570) return `${Math.max(1, Math.round(seconds / 60))} min ago`;
  if (seconds >= 3570 && seconds < 43200) return `${Math.round(seconds / 3600)} h ago`;
  const same = date.getFullYear() === new Date(now).getFullYear();
  return (same ? thisYear : otherYear).format(date);
}

/** Words for a duration in ms; the same as the server's. */
export function durationText(ms) {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(seconds / 3600);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function freshenTimes(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-ms]")) {
    const ms = Number(element.dataset.ms);
    const text = element.dataset.style === "full" ? full.format(ms) : momentText(ms, now);
    if (element.textContent !== text) element.textContent = text;
    if (!element.title) element.title = `${full.format(ms)} ${zoneName(ms)}`;
  }
  for (const element of root.querySelectorAll("[data-since]")) {
    const text = durationText(now - Number(element.dataset.since));
    if (element.textContent !== text) element.textContent = text;
  }
}
