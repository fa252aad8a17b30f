// The dark button works by itself: over plain HTTP, whether or not the page's socket is there.
"use strict";
(() => {
  const said = document.createElement("div");
  said.id = "dark-said";
  said.setAttribute("role", "alert");
  let timer = 0;

  function say(text, kind) {
    said.textContent = text;
    said.className = kind;
    clearTimeout(timer);
    if (kind === "good") timer = setTimeout(() => { said.className = ""; said.textContent = ""; }, 8000);
  }

  async function dark(button) {
    const bench = button.dataset.dark;
    button.setAttribute("aria-busy", "true");
    say(`making bench ${bench} dark …`, "busy");
    try {
      const answer = await fetch(`/api/benches/${encodeURIComponent(bench)}/dark`, { method: "POST" });
      const told = await answer.json();
      if (answer.ok) say(`bench ${bench}: ${told.words}`, "good");
      else say(`bench ${bench}: NOT made dark: ${told.detail}`, "bad");
    } catch (error) {
      say(`bench ${bench}: the page's server does not answer. Use the laser's key, or: labonn bench dark`, "bad");
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  function theme(light) {
    document.body.classList.toggle("light", light);
    if (window.Quasar) window.Quasar.Dark.set(!light);
    try { localStorage.setItem("labonn-theme", light ? "light" : "dark"); } catch (error) { /* none is kept */ }
  }

  // A session that has ended keeps the socket out for good, and only a new page leads to the login.
  let asking = false;
  async function comeBack() {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch("/api/benches");
      if (answer.status === 401) window.location.reload();
    } catch (error) {
      /* the server is not there yet */
    } finally {
      asking = false;
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-dark]");
    if (button) dark(button);
    if (event.target.closest("[data-theme]")) theme(!document.body.classList.contains("light"));
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(said);
    let kept = "dark";
    try { kept = localStorage.getItem("labonn-theme") || "dark"; } catch (error) { /* none is kept */ }
    if (kept === "light") setTimeout(() => theme(true), 0);
    // What is shown is as old as the last word of the server: say so when it is silent.
    setInterval(() => {
      const socket = window.socket;
      const offline = Boolean(socket) && !socket.connected;
      document.body.classList.toggle("offline", offline);
      if (offline) comeBack();
    }, 1000);
  });
})();
