"use strict";

const PERIOD = 2000;

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch("", { cache: "no-store" });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(fresh.querySelector("main"));
    } catch {
      // The emulator is down or restarting: what was last seen stays on the screen.
    }
  }
  setTimeout(refresh, PERIOD);
}

setTimeout(refresh, PERIOD);
