// The review: the button waits for the number, nothing is sent twice, Back finds the form, and the command can be copied.
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
  form?.addEventListener("submit", () => {
    setTimeout(() => { save.disabled = true; });
    // Else Back from what follows would have the browser ask whether this page's form is to be sent again.
    const fields = new URLSearchParams(new FormData(form));
    for (const name of ["csrf", "once", "reviewed", "confirm"]) fields.delete(name);
    const address = `/set?${fields}`;
    if (address.length < 8000) history.replaceState(null, "", address); // servers read no address of any length
  });
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
