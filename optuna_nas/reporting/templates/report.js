"use strict";
const byId = (id) => document.getElementById(id);

// Text that was put into the page as gzip in Base64.
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// An element with attributes, and with text or other elements inside: never with markup.
function element(tag, attributes = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...inside);
  return made;
}

// ---- Plots

const OPTIONS = {
  responsive: true,
  displaylogo: false,
  displayModeBar: matchMedia("(hover: hover)").matches ? "hover" : false,
  doubleClick: "reset+autosize",
  modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
};

async function draw() {
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  for (const box of document.querySelectorAll("[data-figure]")) {
    const figure = JSON.parse(byId(box.dataset.figure).textContent);
    await Plotly.newPlot(box, figure.data, figure.layout, OPTIONS);
    box.on("plotly_click", ({ points: [point] }) => {
      if (trials.has(point.customdata)) show(point.customdata);
    });
  }
}

addEventListener("beforeprint", () => {
  for (const box of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(box);
});

// ---- One trial

let trials = new Map();
const detail = byId("detail");

function rows(pairs) {
  const body = element("tbody");
  for (const cells of pairs) body.append(element("tr", {}, ...cells.map((c) => element("td", {}, c))));
  return element("div", { class: "scroll" }, element("table", {}, body));
}

function link(number) {
  const button = element("button", { class: "link" }, `trial ${number}`);
  button.addEventListener("click", () => show(number));
  return button;
}

function part(title, ...inside) {
  return [element("h3", {}, title), ...inside];
}

function curve(trial) {
  const { step, ...columns } = trial.curve;
  const box = element("div", { class: "plot small" });
  const names = Object.keys(columns);
  const data = names.map((name, i) => ({
    x: step, y: columns[name], name: name.replaceAll("&", "&amp;").replaceAll("<", "&lt;"),
    mode: "lines+markers", yaxis: i ? "y2" : "y",
  }));
  const axis = (side) => ({ side, automargin: true, gridcolor: "rgba(125, 133, 144, 0.2)" });
  const front = document.querySelector("#found .js-plotly-plot");
  const layout = {
    font: front ? front.layout.font : {}, margin: { l: 8, r: 8, t: 32, b: 8 },
    paper_bgcolor: "rgba(0, 0, 0, 0)", plot_bgcolor: "rgba(0, 0, 0, 0)",
    legend: { orientation: "h", y: 1, yanchor: "bottom" }, showlegend: true,
    xaxis: { title: { text: "epoch" }, ...axis("bottom"), zeroline: false },
    yaxis: axis("left"), yaxis2: { ...axis("right"), overlaying: "y", showgrid: false },
  };
  return [box, () => Plotly.newPlot(box, data, layout, { responsive: true, displayModeBar: false })];
}

function show(number) {
  const trial = trials.get(number);
  const body = byId("detail-body");
  let drawn = () => {};
  byId("detail-title").textContent = `Trial ${number}`;
  const state = trial.front ? `${trial.outcome}, on the front` : trial.outcome;
  body.replaceChildren(element("p", {}, [state, trial.ended].filter(Boolean).join(": ")));
  if (trial.reused !== null) body.append(element("p", {}, "The training of ", link(trial.reused), " was used again."));
  if (trial.continues !== null) body.append(element("p", {}, "It goes on from ", link(trial.continues), "."));
  const lines = [trial.network, trial.recipe].filter(Boolean);
  body.append(...lines.map((line) => element("p", { class: "line" }, line)));
  if (trial.diagram) {
    const source = `data:image/svg+xml,${encodeURIComponent(trial.diagram)}`;
    const image = element("img", { src: source, alt: `Diagram of ${trial.network}` });
    body.append(element("div", { class: "diagram" }, image));
  }
  if (trial.curve.step) {
    const [box, plot] = curve(trial);
    body.append(...part("Learning curve", box));
    drawn = plot;
  }
  const measured = trial.measured.map((m) => [m.name, m.text, m.how]);
  if (measured.length) body.append(...part("Measurements", rows(measured)));
  const params = Object.entries(trial.params).map(([name, value]) => [name, String(value)]);
  if (params.length) body.append(...part("Parameters", rows(params)));
  const attributes = Object.entries(trial.attributes);
  if (attributes.length) body.append(...part("Attributes", rows(attributes)));
  if (!detail.open) detail.showModal();
  detail.scrollTop = 0;
  if (window.Plotly) drawn();
}

addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener && trials.size) show(Number(opener.dataset.open));
  if (event.target === detail) detail.close();
});

// ---- The table of all trials

const table = byId("trials");
const body = table.tBodies[0];
const listed = Array.from(body.rows);

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
  const keyed = listed.map((row) => [key(row, column), row]);
  keyed.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return descending ? compare(b, a) : compare(a, b);
  });
  body.append(...keyed.map(([, row]) => row));
}

function filter() {
  const wanted = byId("filter").value.toLowerCase();
  const outcome = byId("outcome").value;
  let shown = 0;
  for (const row of listed) {
    const fits = outcome === "front"
      ? row.classList.contains("on-front")
      : !outcome || row.dataset.outcome === outcome;
    row.hidden = !(fits && row.textContent.toLowerCase().includes(wanted));
    shown += !row.hidden;
  }
  byId("shown").textContent =
    shown === listed.length ? `${shown} trials` : `${shown} of ${listed.length} trials`;
}

// A cell of a CSV file. Spreadsheets take what begins so for a formula: a quote keeps it text.
function field(value) {
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csv() {
  const shown = Array.from(body.rows).filter((row) => !row.hidden);
  const flat = shown.map((row) => {
    const t = trials.get(Number(row.dataset.number));
    return {
      trial: t.number, outcome: t.outcome, front: t.front, final: t.final, ...t.values,
      ...Object.fromEntries(t.measured.map((m) => [`measured ${m.name}`, m.value])),
      epochs: t.epochs, seconds: t.seconds, network: t.network, recipe: t.recipe,
      digest: t.digest, ended: t.ended,
      ...Object.fromEntries(Object.entries(t.params).map(([name, value]) => [`param ${name}`, value])),
    };
  });
  const columns = Array.from(new Set(flat.flatMap(Object.keys)));
  const lines = [columns, ...flat.map((row) => columns.map((column) => row[column] ?? ""))];
  return lines.map((line) => line.map(field).join(",") + "\r\n").join("");
}

function download() {
  const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  element("a", { href: address, download: "trials.csv" }).click();
  URL.revokeObjectURL(address);
}

for (const header of table.tHead.rows[0].cells) {
  header.firstElementChild.addEventListener("click", () => sort(header));
}
byId("filter").addEventListener("input", filter);
byId("outcome").addEventListener("change", filter);
byId("download").addEventListener("click", download);

async function start() {
  const known = JSON.parse(await unpacked("details"));
  trials = new Map(known.map((trial) => [trial.number, trial]));
  await draw();
  performance.mark("drawn");
}

if (window.DecompressionStream) start();
else byId("old").hidden = false;
