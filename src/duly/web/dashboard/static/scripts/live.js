// Keeps an open page up to date. A stream of events says when to fetch the parts that change;
// without a stream they are fetched at intervals. A hidden page does neither.

import { morph } from "./morph.js";
import { setClock } from "./times.js";

const MIN_MS = 1000; // between two updates, however many events there are
const IDLE_FACTOR = 5; // how much rarer a page is fetched that is streamed to
const MAX_WAIT_S = 30; // while the server does not respond
const main = document.getElementById("main");
const offline = document.getElementById("offline");
const liveness = document.getElementById("liveness");
const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content;
const listeners = [];
let source = null; // the stream
let streaming = false;
let failures = 0;
let timer = 0;
let last = 0;
let busy = false;
let heard = 0; // when this page last heard that something may have happened
let current = Date.now(); // when what is shown was made

// Call `listener` after each update.
export const onUpdate = (listener) => listeners.push(listener);

function show(page, made) {
  for (const field of page.querySelectorAll("[name=csrf_token]"))
    field.setAttribute("value", meta("csrf-token")); // an update is the same for all users
  const wanted = [...page.querySelectorAll("[data-live]")];
  for (const part of wanted) morph(document.getElementById(part.id), part);
  document.title = page.title;
  current = made;
  for (const listener of listeners) listener();
}

export async function update() {
  clearTimeout(timer);
  if (document.hidden || main.dataset.refresh === undefined) return;
  if (busy) return hear();
  busy = true;
  last = Date.now();
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html", "X-Duly-Update": "1" },
      cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
    if (answer.status === 401) return location.reload();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const made = last - answer.headers.get("X-Duly-Age"); // others may have asked for it before
    if (made < current) heard = last; // it is older than what is shown
    else if (page.querySelector("main[data-live]")) show(page, made);
    setClock();
    failures = 0;
  } catch {
    failures += 1;
  } finally {
    busy = false;
  }
  plan();
}

function plan(soon = heard > current && !failures) {
  offline.hidden = failures < 2;
  const refresh = Number(main.dataset.refresh);
  const rare = streaming && main.dataset.eager === undefined;
  const seconds = failures ? Math.min(refresh * 2 ** failures, MAX_WAIT_S) : refresh * (rare ? IDLE_FACTOR : 1);
  const wait = soon ? Math.max(0, last + MIN_MS - Date.now()) : seconds * 1000;
  clearTimeout(timer);
  if (!busy) timer = setTimeout(update, wait); // an update that is under way plans the next one
  liveness.hidden = false;
  const text = failures
    ? "Not live: the server is not responding."
    : streaming ? "Live." : `Updated every ${Math.round(seconds)} s.`;
  if (liveness.textContent !== text) liveness.textContent = text;
}

function hear() {
  heard = Date.now();
  plan(true);
}

function listen() {
  const address = meta("stream");
  if (!address || source) return;
  source = new EventSource(address);
  source.onopen = () => {
    streaming = true;
    hear(); // something may have happened since the page was made
  };
  source.onerror = () => {
    streaming = false;
    if (source.readyState === EventSource.CLOSED) source = null;
    plan();
  };
  for (const kind of ["changed", ...meta("events").split(" ")])
    source.addEventListener(kind, hear);
}

function silence() {
  source?.close();
  source = null;
  streaming = false;
  clearTimeout(timer);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden || main.dataset.refresh === undefined) return silence();
  listen();
  update();
});
window.addEventListener("pagehide", silence);
if (main.dataset.refresh !== undefined) {
  if (!document.hidden) listen();
  plan();
}
