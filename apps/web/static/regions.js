// Parts of a page that are fetched again, and changed in place.

import { showTimes } from "./times.js";

const page = document.body.dataset;

// Make `old` look like `wanted` and leave alone what is the same: focus, open parts, typed text.
export function morph(old, wanted) {
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
export async function refresh() {
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
    if (page.csrf) page.csrf = fresh.body.dataset.csrf;
    showTimes();
  } catch {
    // The server is away; the next attempt may find it again.
  } finally {
    refreshing = false;
  }
}

const every = document.querySelector("[data-refresh]")?.dataset.refresh;
if (every) setInterval(() => document.hidden || refresh(), every * 1000);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
