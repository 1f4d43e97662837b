// One cell of the matrix: levels, what the attack adds, single trainings, other figures, the pair's base, failures.

const dialog = document.getElementById("detail");
const SVG = "http://www.w3.org/2000/svg";

function closeDetail() {
  if (dialog.open) dialog.close();
}

function openDetail(attack, victim) {
  const named = make("h2", `${label(attack)} → ${data.victims[victim]}`, { id: "detail-title" });
  const link = make("button", "Copy link", { type: "button" });
  link.addEventListener("click", () => copy(location.href, "the address of this cell"));
  fill(named, [link], ...[
    make("p", `${state.metric}@${state.k}${unitOf(state.metric)}`, { class: "soft" }),
    headline(attack, victim), strip(attack, victim), trainings(attack, victim), others(attack, victim),
    pairing(attack, victim), failures(attack, victim),
  ].filter(Boolean));
}

function showText(text, what) {
  const area = make("textarea", null, { readonly: "", "aria-label": what });
  area.value = text;
  fill(make("h2", `Copy ${what}`, { id: "detail-title" }), [], make("p", "This browser does not let the page write to the clipboard; copy the text from here."), area);
  area.select();
}

function fill(title, buttons, ...parts) {
  const close = make("button", "Close", { type: "button" });
  close.addEventListener("click", closeDetail);
  const [bar, side] = [make("div", null, { class: "bar" }), make("div")];
  side.append(...buttons, close);
  bar.append(title, side);
  dialog.replaceChildren(bar, ...parts);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  close.focus();
}

const unitOf = (metric) => (metric === "H" ? ", %" : "");
const chance = (p) => (p === null || p === undefined ? "–" : p < 0.001 ? "< 0.001" : String(Number(p.toPrecision(2))));

function span(mean, half, metric, signed) {
  return half === null ? "no interval" : `${show(mean - half, metric, signed)} to ${show(mean + half, metric, signed)}`;
}

function headline(attack, victim) {
  const figures = figuresOf(state.metric, state.k);
  const list = make("dl", null, { class: "facts" });
  if (figures.unknown.includes(victim)) return make("p", `${data.victims[victim]} cannot tell this figure: it gives only shorter lists.`);
  const add = (term, value, small) => {
    const [box, given] = [make("div"), make("dd", value)];
    if (small) given.append(make("small", small));
    box.append(make("dt", term), given);
    list.append(box);
  };
  const [cell, clean] = [cellOf(attack, victim), cellOf(0, victim)];
  add(attack ? "with the attack" : "no attack", show(figures.mean[cell]), span(figures.mean[cell], figures.half[cell]));
  if (attack) {
    add("no attack", show(figures.mean[clean]), span(figures.mean[clean], figures.half[clean]));
    const p = figures.p[cell];
    add("difference", show(figures.change[cell], state.metric, true),
      span(figures.change[cell], figures.change_half[cell], state.metric, true) + (p === null ? "" : `, p ${chance(p)}`));
  }
  const holder = make("div");
  const units = data.draws.length > 1 ? "target draws" : "victim seeds";
  holder.append(list, make("p",
    `Means with 95 % intervals, n = ${figures.n[cell]} ${units}${attack ? "; the difference is on the same targets and victim seeds, its p of a paired t-test of this cell alone" : ""}.`,
    { class: "soft" }));
  return holder;
}

// Single values: [draw, seed, value] of a cell.
function values(attack, victim, figures = figuresOf(state.metric, state.k)) {
  if (!figures.runs) return null;
  const size = data.draws.length * data.seeds.length;
  const start = cellOf(attack, victim) * size;
  return figures.runs.slice(start, start + size);
}

function svg(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function roundStep(least) {
  const size = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((factor) => size * factor).find((step) => step >= least * 0.999);
}

// Every training a dot, the mean a stroke, the interval a bar.
function strip(attack, victim) {
  const figures = figuresOf(state.metric, state.k);
  const lines = (attack ? [[attack, "s3", "attack"], [0, "genuine", "no attack"]] : [[0, "genuine", "no attack"]])
    .map(([each, style, name]) => ({ style, name, cell: cellOf(each, victim), runs: (values(each, victim) ?? []).filter((v) => v !== null) }))
    .filter(({ cell }) => figures.mean[cell] !== null);
  if (!lines.length) return null;
  const [left, right, row] = [124, 600, 36];
  const ends = lines.flatMap(({ cell, runs }) => [...runs, figures.mean[cell] + (figures.half[cell] ?? 0), figures.mean[cell] - (figures.half[cell] ?? 0)]);
  const step = roundStep((Math.max(...ends, 1) - Math.min(0, ...ends)) / 3);
  const ticks = [];
  for (let tick = Math.floor(Math.min(0, ...ends) / step); (tick - 1) * step < Math.max(...ends, 1); tick += 1) ticks.push(tick * step);
  const [low, high] = [ticks[0], ticks.at(-1)];
  const x = (value) => left + ((value - low) / (high - low)) * (right - left);
  const height = lines.length * row + 26;
  const chart = svg("svg", { viewBox: `0 0 640 ${height}`, role: "img", "aria-label": `Single trainings, ${state.metric}@${state.k}` });
  for (const value of ticks) {
    chart.append(svg("line", { class: "grid", x1: x(value), x2: x(value), y1: 2, y2: height - 24 }));
    chart.append(svg("text", { x: x(value), y: height - 8, "text-anchor": "middle" }, show(Math.round(value))));
  }
  lines.forEach(({ style, name, cell, runs }, place) => {
    const y = place * row + row / 2;
    const group = svg("g", { class: style });
    const [mean, half] = [figures.mean[cell], figures.half[cell]];
    if (half !== null) group.append(svg("line", { class: "whisker", x1: x(mean - half), x2: x(mean + half), y1: y, y2: y }));
    group.append(svg("line", { class: "tick-mark", x1: x(mean), x2: x(mean), y1: y - 9, y2: y + 9 }));
    for (const run of runs) group.append(svg("circle", { class: "dot", cx: x(run), cy: y, r: 4 }));
    chart.append(group, svg("text", { x: left - 12, y: y + 4, "text-anchor": "end" }, name));
  });
  const figure = make("figure");
  figure.append(chart);
  return figure;
}

function tableOf(caption, head, lines) {
  const [box, made, top, body] = [make("div", null, { class: "scroll" }), make("table"), make("tr"), make("tbody")];
  made.append(make("caption", caption), make("thead"), body);
  made.tHead.append(top);
  top.append(...head.map((name) => make("th", name, { scope: "col" })));
  for (const line of lines) {
    const row = make("tr");
    row.append(...line.map((text, place) => make(place ? "td" : "th", text, place ? {} : { scope: "row" })));
    body.append(row);
  }
  box.append(made);
  return box;
}

function trainings(attack, victim) {
  const [mine, clean] = [values(attack, victim), values(0, victim)];
  if (!mine) return make("p", "Single values of this figure are too many for the page; they are in results.parquet.", { class: "soft" });
  const lines = mine.map((value, place) => {
    const [draw, seed] = [Math.floor(place / data.seeds.length), place % data.seeds.length];
    const before = clean[place];
    return [
      `draw ${data.draws[draw]}, seed ${data.seeds[seed]}`, show(value),
      ...(attack ? [show(before), value === null || before === null ? "–" : show(value - before, state.metric, true)] : []),
    ];
  });
  const made = tableOf("Every training", ["", attack ? "attack" : "no attack", ...(attack ? ["no attack", "difference"] : [])], lines);
  const titles = data.draws.map((draw, place) => [draw, data.targets[place]]).filter(([, names]) => names.length);
  if (titles.length) {
    const list = make("dl", null, { class: "plain" });
    for (const [draw, names] of titles) list.append(make("dt", `targets of draw ${draw}`), make("dd", names.join("; ")));
    const more = make("details");
    more.append(make("summary", "Targets"), list);
    made.append(more);
  }
  return made;
}

function others(attack, victim) {
  const [cell, clean] = [cellOf(attack, victim), cellOf(0, victim)];
  const lines = data.metrics.flatMap((metric) => listed(metric).map((k) => {
    const figures = figuresOf(metric, k);
    const unknown = figures.unknown.includes(victim);
    const text = (value, signed) => (unknown ? "n/a" : show(value, metric, signed));
    return [`${metric}@${k}${unitOf(metric)}`, text(figures.mean[cell]),
      ...(attack ? [text(figures.mean[clean]), text(figures.change[cell], true), unknown ? "n/a" : chance(figures.p[cell])] : [])];
  }));
  return tableOf("All figures of this cell", ["", attack ? "attack" : "no attack", ...(attack ? ["no attack", "difference", "p"] : [])], lines);
}

function pairing(attack, victim) {
  const lines = data.pairs.filter((pair) => pair.attack === attack || pair.base === attack).flatMap((pair) => {
    const found = pair.figures[`${state.metric}@${state.k}`]?.[victim];
    if (!found) return [];
    const [mean, half, p] = found;
    return [[`${label(pair.attack)} minus ${label(pair.base)}`, show(mean, state.metric, true), span(mean, half, state.metric, true), chance(p)]];
  });
  return lines.length ? tableOf("What the worst case adds, on the same targets and victim seeds", ["", "difference", "95 % interval", "p (Holm)"], lines) : null;
}

function failures(attack, victim) {
  const parts = data.failures.flatMap(({ error, traceback, cells }) => {
    const mine = cells.filter((each) => each[0] === attack && each[1] === victim);
    if (!mine.length) return [];
    const where = mine.map(([, , draw, seed]) => (draw > 0 ? `draw ${draw}, seed ${seed}` : `seed ${seed}`)).join("; ");
    return [make("p", `${where}: ${error}`, { class: "warn" }), ...(traceback ? [make("pre", traceback, { tabindex: 0 })] : [])];
  });
  if (!parts.length) return null;
  const holder = make("section");
  holder.append(make("h3", "Failed trainings"), ...parts);
  return holder;
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog && event.clientX < dialog.getBoundingClientRect().left) closeDetail();
});
dialog.addEventListener("close", () => {
  const cell = state.cell;
  if (!cell) return;
  change({ cell: null });
  const place = [rows.indexOf(cell[0]), columns.indexOf(cell[1])];
  if (Math.min(...place) > 0) focusAt(...place, true);
});
change(restored(location.hash.slice(1).includes("=") ? location.hash.slice(1) : ""), { write: false });
