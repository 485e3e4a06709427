// Changes a part of the page into another version of itself: only the nodes that differ change, so
// that focus, selection, scroll positions and half-typed text stay.

const keyOf = (node) => (node.nodeType === 1 ? node.dataset.key || node.id : "") || "";
const ofUser = new Set(["open", "popover-open", "data-selected"]); // attributes that the user sets
const fields = new Set(["INPUT", "SELECT", "TEXTAREA"]);

export function morph(have, want) {
  if (have.isEqualNode(want) || have.dataset?.keep !== undefined) return;
  if (have.nodeType !== 1) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name, value } of want.attributes)
    if (have.getAttribute(name) !== value && !ofUser.has(name)) have.setAttribute(name, value);
  for (const { name } of [...have.attributes])
    if (!want.hasAttribute(name) && !ofUser.has(name)) have.removeAttribute(name);
  if (!fields.has(have.nodeName)) morphChildren(have, want);
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
