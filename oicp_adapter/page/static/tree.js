// The tree of EVSEs: a branch is ticked, not ticked, or partly; leaves come when a charge box is opened.
"use strict";
{
  const tree = document.querySelector("[data-tree]");
  const parent = (item) => item.parentElement.closest("li");
  const own = (item) => item.querySelector(":scope > input, :scope > label > input");
  const below = (item) => [...item.querySelectorAll(":scope > details > ul > li")].filter((each) => own(each));
  const tell = () => tree.dispatchEvent(new Event("chosen", { bubbles: true }));

  const down = (item, ticked) => {
    for (const child of below(item)) {
      own(child).checked = ticked;
      own(child).indeterminate = false;
      down(child, ticked);
    }
  };
  const up = (item) => {
    for (let above = parent(item); above; above = parent(above)) {
      const box = own(above);
      const states = below(above).map(own);
      if (!box || !states.length) continue;
      box.checked = !box.disabled && states.every((each) => each.checked);
      box.indeterminate = !box.checked && states.some((each) => each.checked || each.indeterminate);
    }
  };
  const leaf = (evse, ticked) => {
    const item = document.createElement("li");
    const label = document.createElement("label");
    const box = document.createElement("input");
    const name = document.createElement("span");
    label.className = "inline";
    Object.assign(box, { type: "checkbox", name: "evse", value: evse.value, checked: ticked });
    name.className = "id";
    name.textContent = evse.label;
    label.append(box, " ", name);
    item.append(label);
    return item;
  };
  const fill = async (details) => {
    if (!details.open || details.dataset.filled) return;
    details.dataset.filled = "yes";
    const list = details.querySelector("[data-leaves]");
    try {
      const answer = await fetch(`/set/evses?box=${encodeURIComponent(details.dataset.box)}`);
      if (!answer.ok) throw new Error(String(answer.status));
      const ticked = own(details.closest("li")).checked;
      const single = [...tree.closest("form").querySelectorAll('input[name="evse"]:checked')].filter((each) => !tree.contains(each));
      const chosen = new Set(single.map((each) => each.value));
      const { evses } = await answer.json();
      list.replaceChildren(...evses.map((evse) => leaf(evse, ticked || chosen.has(evse.value))));
      // What was chosen one by one is chosen in the tree from now on.
      for (const each of single) each.checked = !evses.some((evse) => evse.value === each.value);
      if (list.firstElementChild) up(list.firstElementChild);
    } catch {
      delete details.dataset.filled;
      list.firstElementChild.textContent = "They cannot be shown now: close this and open it again.";
    }
  };
  if (tree) {
    for (const list of tree.querySelectorAll("[data-leaves] > li")) list.textContent = "…";
    for (const details of tree.querySelectorAll("details[data-box]")) details.addEventListener("toggle", () => fill(details));
    tree.addEventListener("change", (event) => {
      if (event.target.type !== "checkbox") return;
      const item = event.target.closest("li");
      down(item, event.target.checked);
      up(item);
      tell();
    });
    // What stands for a ticked branch needs no leaves beside it: only the topmost ticks are sent.
    tree.closest("form").addEventListener("formdata", (event) => {
      const data = event.formData;
      const covered = (item) => {
        for (let above = parent(item); above; above = parent(above)) if (own(above)?.checked) return true;
        return false;
      };
      for (const name of ["location", "box"]) data.delete(name);
      const outside = [...tree.closest("form").querySelectorAll('input[name="evse"]:checked')].filter((each) => !tree.contains(each));
      data.delete("evse");
      for (const box of tree.querySelectorAll("input[name]:checked")) if (!covered(box.closest("li"))) data.append(box.name, box.value);
      for (const box of outside) data.append("evse", box.value);
    });
    tree.querySelector("[data-tree-find]").addEventListener("input", (event) => {
      const wanted = event.target.value.trim().toLowerCase();
      for (const place of tree.querySelectorAll("li[data-place]")) {
        const boxes = [...place.querySelectorAll("details[data-box] > summary")];
        const here = place.dataset.place.includes(wanted);
        const found = boxes.map((box) => box.textContent.toLowerCase().includes(wanted));
        place.hidden = !here && !found.some(Boolean);
        boxes.forEach((box, number) => { box.closest("li").hidden = !here && !found[number]; });
      }
    });
    for (const box of tree.querySelectorAll("input:checked")) { down(box.closest("li"), true); up(box.closest("li")); }
  }
}
