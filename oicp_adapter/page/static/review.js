// The review: the button waits for the number, nothing is sent twice, and the command can be copied.
"use strict";
{
  const form = document.querySelector("[data-confirm]");
  const save = form?.querySelector("button.primary");
  const typed = form?.elements.namedItem("confirm");
  if (typed) {
    const judge = () => { save.disabled = typed.value.trim() !== form.dataset.confirm; };
    typed.addEventListener("input", judge);
    judge();
  }
  form?.addEventListener("submit", () => setTimeout(() => { save.disabled = true; }));
  addEventListener("pageshow", (event) => { if (event.persisted && save && !typed) save.disabled = false; });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const told = document.querySelector("[data-copied]");
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        told.textContent = "copied";
      } catch {
        getSelection().selectAllChildren(source);
        told.textContent = "this browser does not let it be copied: it is marked, copy it with the keyboard";
      }
    });
  }
  document.querySelector("[data-focus]")?.focus();
}
