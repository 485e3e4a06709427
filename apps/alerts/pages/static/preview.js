// Shows the next times of a frequency while it is typed.

import { morph } from "../shared/regions.js";

const form = document.getElementById("alert-form");
const frequency = form?.querySelector("[aria-labelledby=when-title]");
let waiting = 0;
let request = new AbortController();

async function update() {
  request.abort();
  request = new AbortController();
  try {
    const answer = await fetch(form.dataset.preview, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { accept: "text/html" },
      signal: request.signal,
    });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const wanted = fresh.getElementById("preview");
    mark(wanted);
    morph(document.getElementById("preview"), document.adoptNode(wanted));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
}

// Mark the fields that the preview complains about, and no others of the frequency.
function mark(preview) {
  for (const field of frequency.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
  }
  for (const old of frequency.querySelectorAll(".wrong")) old.remove();
  for (const { dataset } of preview.querySelectorAll("[data-field]")) {
    const field = frequency.querySelector(`[name="${CSS.escape(dataset.field)}"]`);
    const group = field?.closest("fieldset.boxes, fieldset.kinds");
    (group ?? field)?.setAttribute("aria-invalid", "true");
  }
}

form?.addEventListener("input", ({ target }) => {
  if (!frequency.contains(target)) return;
  clearTimeout(waiting);
  waiting = setTimeout(update, 200);
});
