// Keeps a page live: notifications arrive through a socket, and changed regions are fetched again.

const page = document.body.dataset;
const format = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const units = [["day", 86400, 36 * 3600], ["hour", 3600, 5400], ["minute", 60, 90], ["second", 1, 0]];
const seen = new Set();

// ---------------------------------------------------------------- times that move on

function relative(moment) {
  const seconds = (moment - Date.now()) / 1000;
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [unit, length] = units.find(([, , least]) => size >= least);
  return format.format(Math.sign(seconds) * Math.floor(size / length + 0.5), unit);
}

function showTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = relative(Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

// ---------------------------------------------------------------- parts that are fetched again

// Make `old` look like `wanted` and leave alone what is the same: focus, open parts, typed text.
function morph(old, wanted) {
  if (old.isEqualNode(wanted)) return;
  if (old.nodeName !== wanted.nodeName) return old.replaceWith(wanted);
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = wanted.data;
    return;
  }
  if (old.matches("details[open]")) return;
  for (const { name } of [...old.attributes]) {
    if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of wanted.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const keyed = new Map([...old.children].filter((c) => c.id).map((c) => [c.id, c]));
  let place = old.firstChild;
  for (const child of [...wanted.childNodes]) {
    const match = child.id ? keyed.get(child.id) : place && !place.id ? place : null;
    if (!match) {
      old.insertBefore(child, place);
      continue;
    }
    if (match.contains(document.activeElement)) {
      while (place !== match) place = moveToEnd(place); // moving the match would lose the focus
    }
    if (match === place) place = place.nextSibling;
    else old.insertBefore(match, place);
    morph(match, child);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

function moveToEnd(node) {
  const next = node.nextSibling;
  node.parentNode.append(node);
  return next;
}

let refreshing = false;
async function refresh() {
  if (refreshing) return;
  refreshing = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (answer.redirected) return location.assign(answer.url);
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-region]")) {
      const wanted = fresh.getElementById(region.id);
      if (wanted) morph(region, document.adoptNode(wanted));
    }
    page.csrf = fresh.body.dataset.csrf;
    showTimes();
  } catch {
    // The server is away; the socket will tell when it is back.
  } finally {
    refreshing = false;
  }
}

// ---------------------------------------------------------------- notices

function toast(notice) {
  const box = document.createElement("div");
  box.className = "toast";
  const text = document.createElement("p");
  text.textContent = notice.message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  close.addEventListener("click", () => box.remove());
  box.append(text, close);
  const toasts = document.getElementById("toasts");
  toasts.append(box);
  while (toasts.children.length > 4) toasts.firstChild.remove();
  setTimeout(() => box.remove(), 12000);
}

let pending = 0;
function received(message) {
  if (message.type === "product_expiration" && !seen.has(message.id)) {
    seen.add(message.id);
    toast(message);
  }
  clearTimeout(pending);
  pending = setTimeout(refresh, 150);
}

// ---------------------------------------------------------------- the socket

let wait = 1000;

function say(state, text) {
  document.getElementById("link").dataset.state = state;
  document.getElementById("link-text").textContent = text;
}

async function connect() {
  try {
    const headers = { "x-csrf-token": page.csrf };
    const answer = await fetch(page.ticket, { method: "POST", headers });
    if (!answer.ok) await refresh(); // signed out meanwhile: this leads to the sign-in page
    const { ticket: token } = await answer.json();
    const socket = new WebSocket(page.socket);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "auth", token })));
    socket.addEventListener("message", ({ data }) => {
      wait = 1000;
      say("on", "Live");
      received(JSON.parse(data));
    });
    socket.addEventListener("close", ({ reason }) => {
      if (reason === "replaced by a newer connection") pause();
      else later();
    });
  } catch {
    later();
  }
}

// The user has too many pages open: this one is live again when it is looked at again.
function pause() {
  say("off", "Live in other tabs");
  const resume = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", resume);
    connect();
  };
  document.addEventListener("visibilitychange", resume);
}

function later() {
  say("off", "Reconnecting…");
  setTimeout(connect, wait * (0.75 + Math.random() / 2));
  wait = Math.min(wait * 2, 30000);
}

const every = document.querySelector("[data-refresh]")?.dataset.refresh;
if (every) setInterval(() => document.hidden || refresh(), every * 1000);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(showTimes, 1000);
connect();
