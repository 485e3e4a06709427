// Keeps the distances to moments up to date.

const format = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const units = [["day", 86400, 36 * 3600], ["hour", 3600, 5400], ["minute", 60, 90], ["second", 1, 0]];

function relative(moment) {
  const seconds = (moment - Date.now()) / 1000;
  const size = Math.abs(seconds);
  if (size < 1) return "now";
  const [unit, length] = units.find(([, , least]) => size >= least);
  return format.format(Math.sign(seconds) * Math.floor(size / length + 0.5), unit);
}

export function showTimes() {
  for (const element of document.querySelectorAll("time[data-relative]")) {
    const text = relative(Date.parse(element.dateTime));
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(showTimes, 1000);
