// "Inside this step": the equations, 2 to 9, each beside what comes out of it for the chosen head.

const fixed = (value, digits = 2) => (Object.is(value, -0) || Math.abs(value) < 0.5 * 10 ** -digits
  ? 0 : value).toFixed(digits).replace("-", "\u2212");
const factor = (value) => (value < -0.005 ? `(${fixed(value)})` : fixed(value));
const strongest_row = (weights) => weights.indexOf(Math.max(...weights));
const equation = (number, html) => `<p class="equation"><b>(${number})</b>${html}</p>`;
const plugged = (html) => `<p class="plugged">${html}</p>`;
const part = (name, result, canvas, more = "") =>
  `<div class="part"><p class="name"><span>${name}</span><span>${result}</span></p>${more}` +
  (canvas ? `<canvas id="${canvas.id}" role="img" aria-label="${canvas.label}"></canvas>` : "") + "</div>";
const vector = (id, label) => ({ id, label });

function controller_card(machine, done) {
  const stages = machine.controller.map((stage, s) => {
    const width = done.made[s].length;
    if (stage.kind === "lstm") {
      return part(`LSTM cell <code>${stage.name}</code>, ${width} units: its output`, "h", vector(`stage-${s}`, "output of the LSTM cell")) +
        part("and what it remembers", "c", vector(`stage-${s}-c`, "state of the LSTM cell"));
    }
    const last = s === machine.controller.length - 1;
    const name = last ? `what it tells the heads, and its part of the output: ${width} numbers`
      : `layer <code>${stage.name}</code>, ${width} units, ${stage.activation}`;
    return part(name, "", vector(`stage-${s}`, name.replace(/<[^>]*>/g, "")));
  });
  const readout = machine.readout.length
    ? part("readout, an LSTM that only the output sees: what it remembers", "c", vector("readout-c", "state of the readout")) : "";
  return `<article class="card"><h3>The controller sees, and decides</h3>` +
    part("the input, and what was read a step ago", "x, r", vector("seen", "input and last read vectors")) +
    stages.join("") + readout + "</article>";
}

function draw_controller(machine, done, element) {
  const row = (id, values, wrap = 34) => {
    const largest = Math.max(...values.map(Math.abs), 1e-6);
    draw_row(element(id), values, 11, 11, largest, wrap);
  };
  row("seen", done.seen);
  machine.controller.forEach((stage, s) => {
    row(`stage-${s}`, done.made[s]);
    if (stage.kind === "lstm") row(`stage-${s}-c`, done.state.controller[s][1]);
  });
  if (machine.readout.length) row("readout-c", done.state.readout[0][1]);
}

// Equations 5 to 9, with the numbers of the row on which the head ends up.
function address_card(machine, done, h, name) {
  const head = done.heads[h], { cell } = machine, at = strongest_row(head.weights), rows = head.weights.length;
  const cosines = similarities(done.before, head.key, cell.shortest), alike = strongest_row(cosines);
  const total = cosines.reduce((sum, cosine) => sum + Math.exp(head.strength * cosine), 0);
  const sum = head.shifted.reduce((s, w) => s + w ** head.sharpness, 0);
  const offsets = shift_offsets(head.shift_weights.length);
  const moved = offsets.map((offset, j) =>
    `${fixed(head.gated[(at - offset + rows * Math.abs(offset)) % rows])}&middot;${fixed(head.shift_weights[j])}`);
  const told = offsets.map((offset, j) => `${offset > 0 ? "+" : ""}${offset}: ${fixed(head.shift_weights[j])}`.replace("-", "\u2212"));
  const far = offsets[strongest_row(head.shift_weights)];
  const bars = (id, label) => vector(`bars-${id}`, `${label}: ${summary(head[id])}`);
  return `<article class="card"><h3>${name}: where to look</h3>` +
    part("where it was", `row ${strongest_row(head.previous)}`, bars("previous", "weighting of the step before")) +
    part("key, what it looks for", `most like row ${alike} (${fixed(cosines[alike])})`, vector("key", "key")) +
    part("by content", `strength &beta; = ${fixed(head.strength)}`, bars("content", "content weighting"),
      equation(6, "K(k, M(i)) = k&middot;M(i) / (|k| |M(i)|)") +
      equation(5, "w<sup>c</sup>(i) = exp(&beta; K(k, M(i))) / &Sigma;<sub>j</sub> exp(&beta; K(k, M(j)))") +
      plugged(`<i>row ${at}:</i> exp(${fixed(head.strength)}&middot;${factor(cosines[at])}) / ${fixed(total)} = <b>${fixed(head.content[at], 3)}</b>`)) +
    part("by content, or where it was?", `gate g = ${fixed(head.gate, 3)}: ${gate_words(head.gate)}`, bars("gated", "after the gate"),
      equation(7, "w<sup>g</sup>(i) = g w<sup>c</sup>(i) + (1 &minus; g) w<sub>t&minus;1</sub>(i)") +
      plugged(`<i>row ${at}:</i> ${fixed(head.gate)}&middot;${fixed(head.content[at])} + ${fixed(1 - head.gate)}&middot;${fixed(head.previous[at])} = <b>${fixed(head.gated[at], 3)}</b>`)) +
    part("and how far to move?", `shift s: ${told.join(", ")}: ${shift_words(far)}`, bars("shifted", "after the shift"),
      equation(8, "w&#x303;(i) = &Sigma;<sub>j</sub> w<sup>g</sup>(j) s(i &minus; j)") +
      plugged(`<i>row ${at}:</i> ${moved.join(" + ")} = <b>${fixed(head.shifted[at], 3)}</b>`)) +
    part("made sharp again", `sharpness &gamma; = ${fixed(head.sharpness)}`, bars("weights", "weighting of this step"),
      equation(9, "w(i) = w&#x303;(i)<sup>&gamma;</sup> / &Sigma;<sub>j</sub> w&#x303;(j)<sup>&gamma;</sup>") +
      plugged(`<i>row ${at}:</i> ${fixed(head.shifted[at])}<sup>${fixed(head.sharpness)}</sup> / ${fixed(sum, 3)} = <b>${fixed(head.weights[at], 3)}</b>`)) +
    "</article>";
}

const gate_words = (gate) => (gate < 0.2 ? "where it was" : gate > 0.8 ? "by content" : "some of both");
const shift_words = (rows) => (rows === 0 ? "stay" : `${Math.abs(rows)} row${Math.abs(rows) > 1 ? "s" : ""} ${rows > 0 ? "on" : "back"}`);

// A weighting in words.
function summary(weights) {
  const rows = [...weights.keys()].filter((i) => weights[i] >= 0.1).sort((a, b) => weights[b] - weights[a]);
  if (!rows.length) return "spread over many rows";
  return rows.slice(0, 4).map((i) => `row ${i} ${fixed(weights[i])}`).join(", ");
}

function draw_address(done, h, rows, element, width) {
  const head = done.heads[h], focus = strongest_row(head.weights);
  for (const id of ["previous", "content", "gated", "shifted"]) {
    draw_bars(element(`bars-${id}`), head[id], rows, width, 26, COLOURS.soft, focus);
  }
  const paint = head.add ? COLOURS.write : COLOURS.read;
  draw_bars(element("bars-weights"), head.weights, rows, width, 34, paint, focus);
  draw_row(element("key"), head.key, Math.min(15, width / head.key.length), 13, 1);
}

function read_card(machine, done, h, column) {
  const { read_heads, m_depth } = machine.cell, head = done.heads[h], at = strongest_row(head.weights);
  const value = done.state.reads[h][column], own = head.weights[at] * done.before[at * m_depth + column];
  return `<article class="card"><h3>Read head${read_heads > 1 ? ` ${h + 1}` : ""}: what it reads</h3>` +
    part("the rows, averaged by its weighting", "", vector("reads", "read vector"),
      equation(2, "r = &Sigma;<sub>i</sub> w(i) M(i)") +
      plugged(`<i>column ${column}:</i> ${fixed(head.weights[at])}&middot;${factor(done.before[at * m_depth + column])} <i>(row ${at})</i> ${signed(value - own)} <i>(the others)</i> = <b>${fixed(value, 3)}</b>`)) +
    "</article>";
}

const signed = (value) => (value < -0.005 ? `\u2212 ${fixed(-value)}` : `+ ${fixed(value)}`);

function write_card(machine, done, h, column) {
  const { read_heads, write_heads, m_depth } = machine.cell, head = done.heads[h], at = strongest_row(head.weights);
  const place = at * m_depth + column, old = done.before[place], w = head.weights[at];
  const writers = done.heads.slice(read_heads);
  const kept = writers.reduce((value, { weights, erase }) => value * (1 - weights[at] * erase[column]), old);
  const added = writers.reduce((value, { weights, add }) => value + weights[at] * add[column], 0);
  const own = w * head.add[column], others = write_heads > 1;
  return `<article class="card"><h3>Write head${others ? ` ${h - read_heads + 1}` : ""}: what it writes</h3>` +
    part("erase e", "0 keeps a column, 1 clears it", vector("erase", "erase vector"),
      equation(3, "M&#x303;(i) = M<sub>t&minus;1</sub>(i) [1 &minus; w(i) e]") +
      plugged(`<i>row ${at}, column ${column}:</i> ${fixed(old)}&middot;(1 &minus; ${fixed(w)}&middot;${fixed(head.erase[column])})${others ? " <i>and those of the other heads</i>" : ""} = <b>${fixed(kept, 3)}</b>`)) +
    part("add a", "", vector("add", "add vector"),
      equation(4, "M(i) = M&#x303;(i) + w(i) a") +
      plugged(`<i>row ${at}, column ${column}:</i> ${fixed(kept)} + ${fixed(w)}&middot;${factor(head.add[column])}${others ? ` ${signed(added - own)} <i>(others)</i>` : ""} = <b>${fixed(kept + added, 3)}</b>`)) +
    "</article>";
}

const list = (values) => [...values].map((value) => fixed(value, 4)).join(" ");

// Every number of a step as text.
function all_numbers(machine, done, names) {
  const { read_heads } = machine.cell;
  const rows = [["controller sees", list(done.seen)]];
  machine.controller.forEach((stage, s) => {
    rows.push([`${stage.name}, output`, list(done.made[s])]);
    if (stage.kind === "lstm") rows.push([`${stage.name}, state c`, list(done.state.controller[s][1])]);
  });
  done.state.readout.flat().forEach((values, k) => rows.push([`readout, ${k ? "c" : "h"}`, list(values)]));
  done.heads.forEach((head, h) => {
    const of = (name) => `${names[h]}, ${name}`;
    rows.push([of("key k"), list(head.key)], [of("strength"), fixed(head.strength, 4)], [of("gate"), fixed(head.gate, 4)]);
    rows.push([of("shift"), list(head.shift_weights)], [of("sharpness"), fixed(head.sharpness, 4)]);
    rows.push([of("weighting"), list(head.weights)]);
    if (head.add) rows.push([of("erase"), list(head.erase)], [of("add"), list(head.add)]);
    else rows.push([of("read vector"), list(done.state.reads[h])]);
  });
  rows.push(["output, probabilities", list(done.probabilities)]);
  return `<dl>${rows.map(([name, text]) => `<dt>${name}</dt><dd>${text}</dd>`).join("")}</dl>`;
}
