// Keeps a page live: notifications arrive through a socket, and changed regions are fetched again.

import { refresh } from "../shared/regions.js";

const page = document.body.dataset;
const seen = new Set();

// ---------------------------------------------------------------- notices

function toast(notice) {
  const box = document.createElement("div");
  box.className = "toast";
  const text = document.createElement("p");
  text.textContent = notice.message;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  close.addEventListener("click", () => box.remove());
  box.append(text, close);
  const toasts = document.getElementById("toasts");
  toasts.append(box);
  while (toasts.children.length > 4) toasts.firstChild.remove();
  setTimeout(() => box.remove(), 12000);
}

let pending = 0;
function received(message) {
  if (message.type === "product_expiration" && !seen.has(message.id)) {
    seen.add(message.id);
    toast(message);
  }
  clearTimeout(pending);
  pending = setTimeout(refresh, 150);
}

// ---------------------------------------------------------------- the socket

let wait = 1000;

function say(state, text) {
  document.getElementById("link").dataset.state = state;
  document.getElementById("link-text").textContent = text;
}

async function connect() {
  try {
    const headers = { "x-csrf-token": page.csrf };
    const answer = await fetch(page.ticket, { method: "POST", headers });
    if (!answer.ok) await refresh(); // signed out meanwhile: this leads to the sign-in page
    const { ticket: token } = await answer.json();
    const socket = new WebSocket(page.socket);
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "auth", token })));
    socket.addEventListener("message", ({ data }) => {
      wait = 1000;
      say("on", "Live");
      received(JSON.parse(data));
    });
    socket.addEventListener("close", ({ reason }) => {
      if (reason === "replaced by a newer connection") pause();
      else later();
    });
  } catch {
    later();
  }
}

// The user has too many pages open: this one is live again when it is looked at again.
function pause() {
  say("off", "Live in other tabs");
  const resume = () => {
    if (document.hidden) return;
    document.removeEventListener("visibilitychange", resume);
    connect();
  };
  document.addEventListener("visibilitychange", resume);
}

function later() {
  say("off", "Reconnecting…");
  setTimeout(connect, wait * (0.75 + Math.random() / 2));
  wait = Math.min(wait * 2, 30000);
}

connect();
