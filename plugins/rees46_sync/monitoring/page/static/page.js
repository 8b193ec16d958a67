// The theme that is chosen in Airflow, which stores it here; without one, the system's.
function showTheme() {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}
showTheme();
addEventListener("storage", showTheme);

// Airflow shows this page in a frame that may not open pages of Airflow: its own window follows the link.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-airflow]");
  if (!link || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  if (event.ctrlKey || event.metaKey) outside.target = "_blank";
  outside.click();
});

// Slow parts are loaded after the page, those of one address at once; what cannot be loaded stays as it is.
addEventListener("DOMContentLoaded", () => {
  const parts = [...document.querySelectorAll("[data-load]")];
  for (const address of new Set(parts.map((part) => part.dataset.load))) {
    load(address, parts.filter((part) => part.dataset.load === address));
  }
});

async function load(address, parts) {
  const answer = await fetch(address);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const found = page.getElementById(part.id);
    if (found) part.replaceWith(found);
  }
}

// A browser offers its clipboard to pages of https and of this machine only; elsewhere the button stays hidden.
addEventListener("DOMContentLoaded", () => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "✓";
    });
  }
});
