// Airflow's own theme, which it keeps here; without it the system's is used.
function showTheme() {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}
showTheme();
addEventListener("storage", showTheme);

// Airflow shows this page in a frame that may open nothing outside itself, so its own window follows the link.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-airflow]");
  if (!link || window.parent === window) return;
  event.preventDefault();
  const outside = window.parent.document.createElement("a");
  outside.href = link.href;
  if (event.ctrlKey || event.metaKey) outside.target = "_blank";
  outside.click();
});

// A part that takes its time comes after the page; where it does not come, its link stays.
addEventListener("DOMContentLoaded", async () => {
  for (const part of document.querySelectorAll("[data-load]")) {
    const answer = await fetch(part.dataset.load);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.getElementById(part.id);
    if (found) part.replaceWith(found);
  }
});
