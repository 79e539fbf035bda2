// Keeps what is on the screen up to date. Text is only ever set as text, never as markup.
"use strict";
{
  const place = document.querySelector("[data-live]");
  const words = place?.querySelector("[data-live-state]");
  const tell = (state, text) => {
    place.dataset.state = state;
    if (words.textContent !== text) words.textContent = text;
  };
  let first = true;
  const show = ({ row, text, tone }) => {
    for (const within of document.querySelectorAll(`[data-row="${CSS.escape(row)}"]`)) {
      let changed = false;
      for (const field of within.querySelectorAll("[data-f]")) {
        const name = field.dataset.f;
        if (name in text && field.textContent !== text[name]) {
          field.textContent = text[name];
          changed = true;
        }
        if (name in tone) field.dataset.tone = tone[name];
      }
      if (changed && !first && within.tagName === "TR") {
        within.classList.add("changed");
        setTimeout(() => within.classList.remove("changed"), 2000);
      }
    }
  };
  let source;
  const open = () => {
    source = new EventSource(place.dataset.live);
    source.addEventListener("rows", (event) => {
      JSON.parse(event.data).rows.forEach(show);
      first = false;
      tell("live", "live");
    });
    source.addEventListener("trouble", (event) => tell("trouble", JSON.parse(event.data).text));
    source.addEventListener("gone", (event) => {
      source.close();
      tell("trouble", JSON.parse(event.data).text);
    });
    source.addEventListener("error", () => {
      tell("trouble", "no connection to the adapter: what is shown may be old");
    });
  };
  if (place) {
    // A browser keeps few connections to one host: a tab that nobody sees must not hold one.
    document.addEventListener("visibilitychange", () => {
      source?.close();
      if (document.hidden) return tell("paused", "paused while nobody looks");
      first = true;
      open();
    });
    if (!document.hidden) open();
  }
  document.querySelector("[data-focus]")?.focus();
}
