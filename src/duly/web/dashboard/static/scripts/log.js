// The log of a run: reads new lines while the run is unfinished, follows its end, and hides the
// lines that do not contain what is searched for.

import { onUpdate } from "./live.js";

const MAX_LINES = 1000;
const log = document.querySelector("[data-log]");
const follow = document.getElementById("follow");
const search = document.getElementById("log-search");
const isOpen = () => log.closest("section").dataset.open !== undefined;
let open = false;
let busy = false;

function showEnd() {
  if (follow.checked) log.scrollTop = log.scrollHeight;
}

function filter() {
  const text = search.value.toLowerCase();
  for (const line of log.querySelectorAll("p[data-line]"))
    line.hidden = !line.textContent.toLowerCase().includes(text);
}

async function read() {
  const address = new URL(log.dataset.log, location.href);
  const lines = log.querySelectorAll("[data-line]");
  address.searchParams.set("after", lines[lines.length - 1]?.dataset.line ?? 0);
  const answer = await fetch(address, { headers: { "X-Duly-Update": "1" }, cache: "no-store" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const added = page.querySelectorAll("[data-line]");
  if (!added.length) return;
  log.querySelector(".empty")?.remove();
  log.append(...added);
  while (log.childElementCount > MAX_LINES) log.firstElementChild.remove();
  filter();
  showEnd();
}

async function update() {
  const wanted = open || isOpen(); // once more after the end, for the last lines
  open = isOpen();
  if (!wanted || busy) return;
  busy = true;
  await read().catch(() => {}); // the next update tries again
  busy = false;
}

if (log) {
  open = isOpen();
  follow.parentElement.hidden = !open;
  showEnd();
  log.addEventListener("scroll", () => {
    follow.checked = log.scrollTop + log.clientHeight >= log.scrollHeight - 24;
  });
  follow.addEventListener("change", showEnd);
  search.addEventListener("input", filter);
  onUpdate(update);
}
