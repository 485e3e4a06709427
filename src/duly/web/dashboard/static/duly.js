// Keeps an open page up to date: fetches it again and changes only the nodes that differ.
// All pages work without this script, too.

const live = () => [...document.querySelectorAll("[data-live]")];
const main = document.getElementById("main");
const offline = document.getElementById("offline");
let ahead = 0; // the milliseconds by which the scheduler's clock is ahead of this one
let failures = 0;
let timer = 0;

// ------------------------------------------------------------------------------ keyed morphing

const keyOf = (node) => (node.nodeType === 1 ? node.dataset.key || node.id : "") || "";
const kept = new Set(["open", "popover-open"]);

function morph(have, want) {
  if (have.isEqualNode(want)) return;
  if (have.nodeType !== 1) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name, value } of want.attributes)
    if (have.getAttribute(name) !== value && !kept.has(name)) have.setAttribute(name, value);
  for (const { name } of [...have.attributes])
    if (!want.hasAttribute(name) && !kept.has(name)) have.removeAttribute(name);
  morphChildren(have, want);
}

function morphChildren(have, want) {
  const keyed = new Map();
  for (const child of have.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let next = have.firstChild;
  for (const child of [...want.childNodes]) {
    const key = keyOf(child);
    const same = key ? keyed.get(key) : next && !keyOf(next) ? next : null;
    if (!same || same.nodeName !== child.nodeName) {
      if (key && child.tagName === "TR") child.classList.add("fresh");
      have.insertBefore(child, next);
    } else {
      if (same === next) next = next.nextSibling;
      else have.insertBefore(same, next);
      morph(same, child);
    }
  }
  while (next) {
    const after = next.nextSibling;
    next.remove();
    next = after;
  }
}

// ----------------------------------------------------------------------------------- refreshing

function show(page) {
  const logs = [...document.querySelectorAll("[data-follow]")].filter(
    (log) => log.scrollTop + log.clientHeight >= log.scrollHeight - 24,
  );
  for (const part of live()) {
    const wanted = page.getElementById(part.id);
    if (wanted) morph(part, wanted);
  }
  document.title = page.title;
  for (const log of logs) log.scrollTop = log.scrollHeight;
}

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html" },
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (page.querySelector("main[data-live]")) show(page);
    failures = 0;
    setClock();
  } catch {
    failures += 1;
  }
  offline.hidden = failures < 2;
  plan();
}

function plan() {
  const seconds = Number(main.dataset.refresh) * Math.min(2 ** failures, 16);
  clearTimeout(timer);
  timer = setTimeout(refresh, Math.min(seconds, 30) * 1000);
}

// ------------------------------------------------------------------------- relative times

function setClock() {
  ahead = Date.parse(main.dataset.now) - Date.now();
}

const units = [[86400, "d"], [3600, "h"], [60, "min"]];

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

function updateTimes() {
  if (document.hidden) return;
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("[data-away]")) {
    const text = relative((Date.parse(time.dateTime) - now) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
  for (const since of document.querySelectorAll("[data-since]"))
    since.textContent = span(Math.max(0, (now - Date.parse(since.dataset.since)) / 1000));
}

// ---------------------------------------------------------------------------------------- start

const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done"); // so that a reload does not show the confirmation again
  history.replaceState(null, "", address);
}
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button:not([type=button])"))
    setTimeout(() => (button.disabled = true)); // prevents a second submission
});
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  const search = document.querySelector("[data-search]");
  if (event.key !== "/" || typing || !search || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  search.focus();
});
setClock();
setInterval(updateTimes, 1000);
plan();
