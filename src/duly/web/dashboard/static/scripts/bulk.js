// A large change is sent in parts, one request each, and its progress is shown. The server responds
// to each part with the fields of the next one, and to the last one with the page to go to.

function set(form, fields) {
  for (const [name, value] of Object.entries(fields)) {
    form.elements[name].value = value;
    form.elements[name].disabled = value === "";
  }
}

async function send(form) {
  const at = (name) => form.querySelector(`[data-${name}]`);
  const problem = at("problem");
  problem.hidden = true;
  form.elements.part.disabled = false;
  at("progress").hidden = at("stop").hidden = false;
  try {
    for (;;) {
      const answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "application/json" },
      });
      if (!answer.ok) throw new Error((await answer.json()).detail);
      const { to, done, fields } = await answer.json();
      at("progress").querySelector("progress").value = done;
      at("done").textContent = done.toLocaleString("en");
      if (to) return location.assign(to);
      set(form, fields);
    }
  } catch (error) {
    problem.textContent = error.message || "The server is not responding.";
    problem.hidden = false;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
}

document.addEventListener("submit", (event) => {
  if (event.target.dataset.bulk === undefined) return;
  event.preventDefault();
  send(event.target);
});
document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-stop]");
  if (button) set(button.form, { stop: "1" });
});
