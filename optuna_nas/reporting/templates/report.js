"use strict";
for (const box of document.querySelectorAll("[data-figure]")) {
  const figure = JSON.parse(document.getElementById(box.dataset.figure).textContent);
  Plotly.newPlot(box, figure.data, figure.layout, {
    responsive: true,
    displaylogo: false,
    doubleClick: "reset+autosize",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
  });
}
addEventListener("beforeprint", () => {
  for (const box of document.querySelectorAll("[data-figure]")) Plotly.Plots.resize(box);
});

const table = document.getElementById("trials");
const body = table.tBodies[0];
const rows = Array.from(body.rows);

function key(row, column) {
  const cell = row.cells[column];
  if (!cell.classList.contains("number")) return cell.textContent.trim();
  const value = cell.dataset.value ?? cell.textContent.replaceAll(",", "");
  return value === "" ? null : Number(value);
}

function compare(a, b) {
  return typeof a === "string" ? a.localeCompare(b) : a - b;
}

// Trials without a value stay at the end in both orders.
function sort(header) {
  const column = header.cellIndex;
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const keyed = rows.map((row) => [key(row, column), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...keyed.map(([, row]) => row));
}

function filter() {
  const wanted = document.getElementById("filter").value.toLowerCase();
  const outcome = document.getElementById("outcome").value;
  let shown = 0;
  for (const row of rows) {
    const fits = outcome === "front"
      ? row.classList.contains("on-front")
      : !outcome || row.dataset.outcome === outcome;
    row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted));
    shown += !row.hidden;
  }
  document.getElementById("shown").textContent =
    shown === rows.length ? `${shown} trials` : `${shown} of ${rows.length} trials`;
}

for (const header of table.tHead.rows[0].cells) {
  header.firstElementChild.addEventListener("click", () => sort(header));
}
document.getElementById("filter").addEventListener("input", filter);
document.getElementById("outcome").addEventListener("change", filter);
