// Asks the adapter what the form means so far: it knows the zones, the clock changes and the EVSEs, the browser need not.
"use strict";
{
  const form = document.querySelector("[data-set]");
  const field = (name) => form.elements.namedItem(name);
  const words = (name) => form.querySelector(`[data-words="${name}"]`);
  let asked = 0;
  let zoneChosen = Boolean(form?.hasAttribute("data-zone-chosen"));
  let timer;

  const choices = (name, offered, chosen) => {
    const place = form.querySelector(`[data-meant="${name}"]`);
    const shown = [...place.querySelectorAll("input")].map((each) => each.value);
    if (shown.join() === offered.map((each) => each.value).join()) return;
    place.replaceChildren();
    if (!offered.length) return;
    const set = document.createElement("fieldset");
    const legend = document.createElement("legend");
    legend.textContent = "Which time is meant?";
    set.append(legend);
    for (const each of offered) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      label.className = "inline";
      Object.assign(box, { type: "radio", name: `${name}_instant`, value: each.value, checked: each.value === chosen });
      label.append(box, ` ${each.label}`);
      set.append(label);
    }
    place.append(set);
  };
  const check = async (preset = "") => {
    const number = ++asked;
    const data = new FormData(form);
    data.set("preset", preset);
    data.set("zone_chosen", zoneChosen ? "yes" : "");
    let told;
    try {
      const answer = await fetch("/set/check", {
        method: "POST",
        body: new URLSearchParams(data),
        headers: { "X-CSRF-Token": document.body.dataset.csrf },
      });
      if (!answer.ok) throw new Error(String(answer.status));
      told = await answer.json();
    } catch {
      words("notice").textContent = "the adapter does not answer: the times are checked at the review";
      return;
    }
    if (number !== asked) return;
    for (const [name, value] of Object.entries(told.values)) {
      const target = field(name);
      if (target.value !== value && target !== document.activeElement) target.value = value;
    }
    for (const name of ["start", "end", "notice"]) {
      if (words(name).textContent !== told.words[name]) words(name).textContent = told.words[name];
    }
    for (const name of ["start", "end"]) choices(name, told.choices[name] ?? [], told.chosen[name]);
    form.querySelector("[data-chosen]").textContent = told.selection;
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(() => check(), 250);
  };
  if (form) {
    const pick = (name, value) => { for (const each of field(name)) each.checked = each.value === value; };
    form.addEventListener("input", (event) => {
      const name = event.target.name;
      if (name === "zone") zoneChosen = true;
      if (name === "start") pick("begins", "at");
      if (name === "end") pick("ends", "at");
      if (name === "amount" || name === "unit") pick("ends", "after");
      if (name && name !== "reason" && name !== "reference") later();
    });
    form.addEventListener("chosen", later);
    const presets = form.querySelector("[data-presets]");
    presets.hidden = false;
    presets.addEventListener("click", (event) => {
      const preset = event.target.dataset.preset;
      if (!preset) return;
      clearTimeout(timer); // what was asked before knows nothing of it, and would be answered last
      pick("ends", preset === "open" ? "open" : preset === "morning" ? "at" : "after");
      if (preset.endsWith("h")) {
        field("amount").value = preset.slice(0, -1);
        field("unit").value = "hours";
      }
      check(preset);
    });
    check();
  }
  document.querySelector("[data-focus]")?.focus();
}
