"use strict";
// The transfer matrix: metric and list length, sorting, filtering, copying, keyboard, and an address that restores all of it.
// The page works without this file; every text from the data is put in as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const at = (id) => document.getElementById(id);
const table = at("matrix");
const width = data.victims.length;
const label = (attack) => (attack === 0 ? "no attack" : data.attacks[attack]);
const figuresOf = (metric, k) => data.figures[`${metric}@${k}`];
const cellOf = (attack, victim) => attack * width + victim;
const listed = (metric) => data.ks.filter((k) => figuresOf(metric, k));
const fails = new Set(data.failures.flatMap((kind) => kind.cells.map(([attack, victim]) => cellOf(attack, victim))));

const DEFAULT = {
  metric: data.metrics[0] || "H", k: data.k, attacks: "", victims: "", intervals: data.intervals,
  rows: null, rowsUp: false, columns: null, columnsUp: false, cell: null,
};
let state = { ...DEFAULT };

// Figures are whole millionths; H is shown in percent.
function show(value, metric = state.metric, signed = false) {
  if (value === null || value === undefined) return "–";
  const text = metric === "H" ? (value / 1e4).toFixed(2) : (value / 1e6).toFixed(4);
  return text.startsWith("-") ? text.replace("-", "−") : (signed ? "+" : "") + text;
}

function range(figures, cell, metric = state.metric, signed = false) {
  if (figures.half[cell] === null) return "";
  const [low, high] = [-1, 1].map((side) => figures.mean[cell] + side * figures.half[cell]);
  return `${show(low, metric, signed)} – ${show(high, metric, signed)}`;
}

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Which attacks and victims are shown, in which order. The clean run always stands first.
function matches(name, filter) {
  const words = filter.toLowerCase().split(",").map((word) => word.trim()).filter(Boolean);
  return !words.length || words.some((word) => name.toLowerCase().includes(word));
}

function sorted(places, value, up) {
  return places.slice().sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null) || a - b; // what was not measured stands last
    const order = typeof x === "string" ? x.localeCompare(y) : x - y;
    return (up ? order : -order) || a - b;
  });
}

function shownAttacks() {
  const places = data.attacks.map((_, place) => place).slice(1).filter((place) => matches(data.attacks[place], state.attacks));
  if (state.rows === null) return [0, ...places];
  const { mean } = figuresOf(state.metric, state.k);
  const value = state.rows < 0 ? (place) => data.attacks[place] : (place) => mean[cellOf(place, state.rows)];
  return [0, ...sorted(places, value, state.rowsUp)];
}

function shownVictims() {
  const places = data.victims.map((_, place) => place).filter((place) => matches(data.victims[place], state.victims));
  if (state.columns === null) return places;
  const { mean } = figuresOf(state.metric, state.k);
  return sorted(places, (place) => mean[cellOf(state.columns, place)], state.columnsUp);
}

// The table. `rows` and `columns` say what stands where; place 0 of each is the header's.
let rows = [];
let columns = [];

function header(text, scope, direction) {
  const cell = make("th", null, { scope });
  cell.append(make("button", text, { type: "button", tabindex: -1 }));
  if (direction) cell.setAttribute("aria-sort", direction);
  return cell;
}

const direction = (is, up) => (is ? (up ? "ascending" : "descending") : "");

function draw() {
  const focus = table.contains(document.activeElement) ? placeOf(document.activeElement) : null;
  const kept = focus && [rows[focus[0]], columns[focus[1]]];
  [rows, columns] = [[null, ...shownAttacks()], [null, ...shownVictims()]];
  const untouched = JSON.stringify({ ...state, cell: null }) === JSON.stringify(DEFAULT) && !table.dataset.drawn;
  const head = make("tr");
  head.append(header("attack", "col", direction(state.rows === -1, state.rowsUp)));
  for (const victim of columns.slice(1)) {
    head.append(header(data.victims[victim], "col", direction(state.rows === victim, state.rowsUp)));
  }
  table.tHead.replaceChildren(head);
  const names = rows.slice(1).map((attack) => header(label(attack), "row", direction(state.columns === attack, state.columnsUp)));
  if (untouched) {
    names.forEach((name, row) => table.tBodies[0].rows[row].cells[0].replaceWith(name));
  } else {
    table.dataset.drawn = "1";
    table.tBodies[0].replaceChildren(...names.map((name, row) => line(name, rows[row + 1])));
  }
  table.dataset.kind = ["NDCG", "Recall"].includes(state.metric) ? "accuracy" : "exposure";
  if (kept) focusAt(Math.max(rows.indexOf(kept[0]), 0), Math.max(columns.indexOf(kept[1]), 0), true);
  else focusAt(0, 0, false);
}

function line(name, attack) {
  const row = make("tr");
  row.append(name);
  const figures = figuresOf(state.metric, state.k);
  const best = Math.max(...figures.mean.map((value) => value ?? 0));
  const unknown = new Set(figures.unknown);
  for (const victim of columns.slice(1)) {
    const cell = cellOf(attack, victim);
    const mean = figures.mean[cell];
    const made = make("td", unknown.has(victim) ? "n/a" : show(mean));
    const step = best > 0 && mean !== null ? Math.round(10 * Math.sqrt(Math.max(mean, 0) / best)) : 0;
    if (step) made.className = `h${step}`;
    if (fails.has(cell)) made.classList.add("failed");
    if (state.intervals && figures.half[cell] !== null && !unknown.has(victim)) made.append(make("small", range(figures, cell)));
    row.append(made);
  }
  return row;
}

// One tab stop; arrow keys move it (the grid pattern of WAI-ARIA).
let current = null;

function placeOf(element) {
  const cell = element.closest("th, td");
  return [cell.parentElement.rowIndex, cell.cellIndex];
}

function focusAt(row, column, move) {
  const cell = table.rows[row]?.cells[column];
  if (!cell) return;
  const target = cell.querySelector("button") || cell;
  if (current) current.tabIndex = -1;
  current = target;
  target.tabIndex = 0;
  if (move) target.focus();
}

function press(event) {
  if (event.altKey || event.metaKey) return;
  const [row, column] = placeOf(event.target);
  const [last, end] = [rows.length - 1, columns.length - 1];
  const moves = {
    ArrowUp: [row - 1, column], ArrowDown: [row + 1, column], ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
    PageUp: [row - 10, column], PageDown: [row + 10, column],
    Home: [event.ctrlKey ? 0 : row, 0], End: [event.ctrlKey ? last : row, end],
  };
  const to = moves[event.key];
  if (to) {
    focusAt(Math.min(Math.max(to[0], 0), last), Math.min(Math.max(to[1], 0), end), true);
  } else if ((event.key === "Enter" || event.key === " ") && event.target.tagName === "TD") {
    choose(row, column);
  } else return;
  event.preventDefault();
}

// A header sorts: downwards, upwards, as given. A cell opens.
function choose(row, column) {
  if (row && column) {
    change({ cell: [rows[row], columns[column]] });
    return;
  }
  const [by, up, key] = row ? ["columns", "columnsUp", rows[row]] : ["rows", "rowsUp", column ? columns[column] : -1];
  const first = key === -1; // names start with A, figures with the highest
  if (state[by] !== key) change({ [by]: key, [up]: first });
  else if (state[up] === first) change({ [up]: !first });
  else change({ [by]: null, [up]: false });
}

// The address.
function address() {
  const parts = new URLSearchParams();
  for (const name of ["metric", "attacks", "victims"]) if (state[name] !== DEFAULT[name]) parts.set(name, state[name]);
  if (state.k !== DEFAULT.k) parts.set("k", state.k);
  if (state.intervals !== DEFAULT.intervals) parts.set("intervals", state.intervals ? "yes" : "no");
  if (state.rows !== null) parts.set("sort", (state.rowsUp ? "up:" : "down:") + (data.victims[state.rows] ?? ""));
  if (state.columns !== null) parts.set("order", (state.columnsUp ? "up:" : "down:") + data.attacks[state.columns]);
  if (state.cell) {
    parts.set("attack", data.attacks[state.cell[0]]);
    parts.set("victim", data.victims[state.cell[1]]);
  }
  return parts.toString();
}

function restored(hash) {
  const parts = new URLSearchParams(hash);
  const found = { ...DEFAULT };
  if (data.metrics.includes(parts.get("metric"))) found.metric = parts.get("metric");
  if (listed(found.metric).includes(Number(parts.get("k")))) found.k = Number(parts.get("k"));
  for (const name of ["attacks", "victims"]) found[name] = parts.get(name) ?? "";
  if (parts.has("intervals")) found.intervals = parts.get("intervals") === "yes";
  const read = (text, names) => {
    const [, way, name] = /^(up|down):([^]*)$/.exec(text ?? "") ?? [];
    if (!way) return [null, false];
    if (name === "" && names === data.victims) return [-1, way === "up"];
    return names.includes(name) ? [names.indexOf(name), way === "up"] : [null, false];
  };
  [found.rows, found.rowsUp] = read(parts.get("sort"), data.victims);
  [found.columns, found.columnsUp] = read(parts.get("order"), data.attacks);
  const cell = [data.attacks.indexOf(parts.get("attack")), data.victims.indexOf(parts.get("victim"))];
  if (Math.min(...cell) >= 0) found.cell = cell;
  return found;
}

// One way in for every change, whether from a control, the address or the table.
function change(changes, { write = true } = {}) {
  const before = state;
  state = { ...state, ...changes };
  if (!listed(state.metric).includes(state.k)) state.k = listed(state.metric)[0];
  controls();
  const drawn = ["metric", "k", "attacks", "victims", "intervals", "rows", "rowsUp", "columns", "columnsUp"];
  if (before === state || !rows.length || drawn.some((name) => before[name] !== state[name])) {
    draw();
    summarise();
  }
  if (write) {
    const text = address();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }
  if (JSON.stringify(before.cell) !== JSON.stringify(state.cell)) state.cell ? openDetail(...state.cell) : closeDetail();
}

function controls() {
  at("metric").value = state.metric;
  at("k").replaceChildren(...listed(state.metric).map((k) => make("option", k, { value: k })));
  at("k").value = state.k;
  for (const name of ["attacks", "victims"]) if (at(name).value !== state[name]) at(name).value = state[name];
  at("intervals").checked = state.intervals;
}

function summarise() {
  const [shown, all] = [[rows.length - 2, columns.length - 1], [data.attacks.length - 1, width]];
  at("status").textContent =
    shown[0] === all[0] && shown[1] === all[1] ? "" : `${shown[0]} of ${all[0]} attacks, ${shown[1]} of ${all[1]} victims`;
}

// Copying: what is shown, in the order shown.
function latexText(text) {
  const signs = {
    "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
    "|": "\\textbar{}", '"': "\\textquotedbl{}",
  };
  return String(text).replace(/[\s\u2028\u2029]+/g, " ").replace(/[\\~^<>|"&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
}

function latex() {
  const figures = figuresOf(state.metric, state.k);
  const unknown = new Set(figures.unknown);
  const entry = (attack, victim) => {
    const cell = cellOf(attack, victim);
    if (unknown.has(victim)) return "n/a";
    if (figures.mean[cell] === null) return "--";
    const half = state.intervals && figures.half[cell] !== null ? ` \\pm ${show(figures.half[cell])}` : "";
    return `$${show(figures.mean[cell])}${half}$`.replace("−", "-");
  };
  const unit = state.metric === "H" ? ", \\%" : "";
  return [
    `% ${state.metric}@${state.k}${unit}: mean${state.intervals ? " and half 95 \\% interval" : ""}; needs \\usepackage{booktabs}`,
    `\\begin{tabular}{l${"r".repeat(columns.length - 1)}}`,
    "\\toprule",
    `${["attack", ...columns.slice(1).map((victim) => latexText(data.victims[victim]))].join(" & ")} \\\\`,
    "\\midrule",
    ...rows.slice(1).map((attack) =>
      `${[latexText(label(attack)), ...columns.slice(1).map((victim) => entry(attack, victim))].join(" & ")} \\\\`),
    "\\bottomrule",
    "\\end{tabular}",
    "",
  ].join("\n");
}

// Spreadsheets run cells that start with one of these signs; an apostrophe keeps them text.
function csvText(text) {
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function csv() {
  const figures = figuresOf(state.metric, state.k);
  const share = (value) => (value === null ? "" : String(value / 1e6));
  const lines = ["attack,victim,metric,k,mean,low,high,n"];
  for (const attack of rows.slice(1)) {
    for (const victim of columns.slice(1)) {
      const cell = cellOf(attack, victim);
      const [mean, half] = [figures.mean[cell], figures.half[cell]];
      const ends = half === null ? [null, null] : [mean - half, mean + half];
      lines.push([
        csvText(data.attacks[attack]), csvText(data.victims[victim]), state.metric, state.k,
        ...[mean, ...ends].map(share), figures.n[cell],
      ].join(","));
    }
  }
  return `${lines.join("\r\n")}\r\n`;
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    at("status").textContent = `Copied ${what}.`;
  } catch {
    showText(text, what); // the browser does not let a page write: the reader copies by hand
  }
}

at("metric").replaceChildren(...data.metrics.map((metric) => make("option", {
  H: "H: hit ratio, %", N: "N: nDCG of targets", NDCG: "NDCG of genuine users", Recall: "Recall of genuine users",
}[metric], { value: metric })));
at("metric").addEventListener("change", (event) => change({ metric: event.target.value }));
at("k").addEventListener("change", (event) => change({ k: Number(event.target.value) }));
for (const name of ["attacks", "victims"]) at(name).addEventListener("input", (event) => change({ [name]: event.target.value }));
at("intervals").addEventListener("change", (event) => change({ intervals: event.target.checked }));
at("tools").addEventListener("submit", (event) => event.preventDefault());
at("copy-latex").addEventListener("click", () => copy(latex(), `${rows.length - 1} rows as LaTeX`));
at("copy-csv").addEventListener("click", () => copy(csv(), `${(rows.length - 1) * (columns.length - 1)} cells as CSV`));
table.addEventListener("keydown", press);
table.addEventListener("click", (event) => {
  const cell = event.target.closest("th, td");
  if (!cell || (cell.tagName === "TH" && !event.target.closest("button"))) return;
  focusAt(...placeOf(cell), true);
  choose(...placeOf(cell));
});
addEventListener("hashchange", () => {
  const hash = location.hash.slice(1);
  if (hash === "" || hash.includes("=")) change(restored(hash), { write: false });
});

table.setAttribute("role", "grid");
table.classList.add("live");
at("tools").hidden = false;
at("hint").hidden = false;
