// Relative times and running durations, which change every second.

const main = document.getElementById("main");
const units = [[86400, "d"], [3600, "h"], [60, "min"]];
let ahead = 0; // the milliseconds by which the scheduler's clock is ahead of this one

export function setClock() {
  ahead = Date.parse(main.dataset.now) - Date.now();
}

function relative(seconds) {
  const away = Math.abs(Math.round(seconds));
  if (away < 1) return "now";
  const [size, unit] = units.find(([size]) => away >= size) || [1, "s"];
  const words = `${Math.floor(away / size)} ${unit}`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

function span(seconds) {
  if (seconds < 60) return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds)} s`;
  const [size, unit] = units.find(([size]) => seconds >= size);
  const [less, small] = size === 60 ? [1, "s"] : units[units.findIndex(([s]) => s === size) + 1];
  const rest = Math.floor((seconds % size) / less);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${small}` : ""}`;
}

// Show the viewer's own time when it is not the page's: on hover, beside the page's.
function addOwnTime(time) {
  const own = new Date(time.dateTime);
  if (Number.isNaN(own.getTime())) return;
  const text = own.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  time.title = `${time.title}\nYour time: ${text}`;
}

export function updateTimes() {
  if (document.hidden || !main.dataset.now) return;
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("[data-away]")) {
    const text = relative((Date.parse(time.dateTime) - now) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
  for (const since of document.querySelectorAll("[data-since]"))
    since.textContent = span(Math.max(0, (now - Date.parse(since.dataset.since)) / 1000));
}

document.addEventListener("mouseover", ({ target }) => {
  if (target.nodeName === "TIME" && target.title && !target.title.includes("\n")) addOwnTime(target);
});
setClock();
setInterval(updateTimes, 1000);
