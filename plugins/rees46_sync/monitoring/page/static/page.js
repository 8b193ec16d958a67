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

// A slow part is loaded after the page; if it cannot be loaded, its link stays.
addEventListener("DOMContentLoaded", async () => {
  for (const part of document.querySelectorAll("[data-load]")) {
    const answer = await fetch(part.dataset.load);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(part.id);
    if (found) part.replaceWith(found);
  }
});
