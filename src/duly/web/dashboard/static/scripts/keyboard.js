// Keys: / searches, j and k move through the rows, Enter opens one, g and a letter open an area,
// ? lists the keys.

const sequence = { key: "", at: 0 };
const visible = (element) => element.getClientRects().length > 0;
const rows = () => [...document.querySelectorAll("main [data-row]")].filter(visible);

function move(step) {
  const all = rows();
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const row = all[at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step];
  row?.querySelector("a[href]")?.focus();
}

function open(key) {
  const link = document.querySelector(`[data-keys="g ${CSS.escape(key)}"]`);
  link?.click();
  return Boolean(link);
}

const keys = {
  "/": () => document.querySelector("[data-search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  x: () => document.activeElement.closest("[data-row]")?.querySelector("[type=checkbox]")?.click(),
  "?": () => document.getElementById("keys").togglePopover(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea, [contenteditable]")) return;
  const isSecond = sequence.key === "g" && event.timeStamp - sequence.at < 1500;
  sequence.key = event.key;
  sequence.at = event.timeStamp;
  if (isSecond ? open(event.key) : keys[event.key]) event.preventDefault();
  if (!isSecond) keys[event.key]?.();
});
