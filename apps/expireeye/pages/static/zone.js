// Chooses the browser's own time zone where a form asks for one.
const select = document.querySelector("select[data-detect-zone]");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (select && [...select.options].some((option) => option.value === zone)) select.value = zone;
