// The preview of a trigger follows what is typed; without a script there is a button for it.

const PAUSE_MS = 350; // since the last key
const PARTS = ["preview-says", "preview-times"];
let timer = 0;
let request = null;

function clear(trigger) {
  for (const problem of trigger.querySelectorAll(".field > .fault")) problem.remove();
  for (const input of trigger.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-errormessage");
  }
}

// Show what is wrong below the input that it is about.
function place(trigger, problem) {
  const input = trigger.querySelector(`[name="${CSS.escape(problem.dataset.problem)}"]:not([type=hidden])`);
  if (!input?.id) return;
  problem.id = `${input.id}-fault`;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-errormessage", problem.id);
  input.closest(".field")?.append(problem);
}

async function show(trigger) {
  const button = trigger.querySelector("[data-preview]");
  const body = new URLSearchParams();
  for (const [name, value] of new FormData(button.form))
    if (name === "csrf_token" || name === "id" || name.startsWith("trigger.")) body.append(name, value);
  request?.abort();
  const own = (request = new AbortController());
  try {
    const answer = await fetch(button.dataset.preview, {
      method: "POST", body, headers: { Accept: "text/html" }, signal: own.signal,
    });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!page.getElementById(PARTS[0]) || own !== request) return;
    clear(trigger);
    for (const part of PARTS)
      document.getElementById(part).replaceChildren(...page.getElementById(part).childNodes);
    for (const problem of trigger.querySelectorAll("[data-problem]")) place(trigger, problem);
  } catch {
    // it was replaced by a later one, or the server does not respond: the page says so
  }
}

document.addEventListener("input", ({ target }) => {
  const trigger = target.closest(".trigger");
  clearTimeout(timer);
  if (trigger) timer = setTimeout(show, PAUSE_MS, trigger);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-preview]");
  if (!button) return;
  event.preventDefault();
  show(button.closest(".trigger"));
});
