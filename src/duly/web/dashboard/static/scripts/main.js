// The start of the scripts of the dashboard. All pages work without them, too.

import "./live.js";
import "./times.js";
import "./keyboard.js";
import "./bulk.js";
import "./preview.js";
import "./log.js";
import "./select.js";

const address = new URL(location.href);
if (address.searchParams.has("done")) {
  address.searchParams.delete("done"); // so that a reload does not show the confirmation again
  history.replaceState(history.state, "", address);
}
document.addEventListener("submit", (event) => {
  for (const button of event.target.querySelectorAll("button:not([type=button])"))
    setTimeout(() => (button.disabled = true)); // prevents a second submission
});
window.addEventListener("pageshow", (event) => event.persisted && location.reload());
