// Counts the chosen windows, and chooses all of them at once.
"use strict";
{
  const form = document.querySelector("[data-choose]");
  const all = form?.querySelector("[data-choose-all]");
  if (all) {
    const boxes = [...form.querySelectorAll('input[name="window"]')];
    const words = form.querySelector("[data-choose-count]");
    const actions = [...form.querySelectorAll("fieldset.bulk button[name='do']")];
    const count = () => {
      const chosen = boxes.filter((box) => box.checked).length;
      words.textContent = chosen ? `${chosen} of ${boxes.length} chosen` : `None of ${boxes.length} chosen`;
      all.checked = chosen === boxes.length;
      all.indeterminate = chosen > 0 && chosen < boxes.length;
      for (const action of actions) action.disabled = chosen === 0;
    };
    all.hidden = false;
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      count();
    });
    for (const box of boxes) box.addEventListener("change", count);
    count();
  }
}
