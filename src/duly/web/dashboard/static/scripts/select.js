// Selected rows of a list: how many there are, and all of this page at once.

import { onUpdate } from "./live.js";

const all = (selector) => [...document.querySelectorAll(selector)];

function show() {
  const form = document.getElementById("selection");
  if (!form) return;
  const boxes = all('main [name="ids"]');
  const chosen = boxes.filter((box) => box.checked).length;
  const every = form.elements.every.checked;
  const page = form.querySelector("[data-all]");
  page.checked = chosen > 0 && chosen === boxes.length;
  page.indeterminate = chosen > 0 && !page.checked;
  const text = every || !chosen ? "" : `${chosen} selected`;
  const count = form.querySelector("[data-count]");
  if (count.textContent !== text) count.textContent = text;
  for (const button of form.querySelectorAll("button")) button.disabled = !chosen && !every;
}

document.addEventListener("change", ({ target }) => {
  if (target.dataset.all !== undefined)
    for (const box of all('main [name="ids"]')) box.checked = target.checked;
  show();
});
onUpdate(show);
show();
