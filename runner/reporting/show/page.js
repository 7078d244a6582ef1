// The page: what is chosen and done, what follows of it, and where it is drawn.

const element = (id) => document.getElementById(id);
const data = JSON.parse(element("data").textContent);
const machine = decoded(data.machine, element("weights").textContent.trim());
const kind = TASKS[data.task.name] ?? OTHER_TASK;
const task = { ...data.task, input_dim: machine.cell.input_dim, output_dim: machine.cell.units };
const { read_heads, write_heads, m_depth } = machine.cell;
const channels = kind.channels(task), output_names = kind.outputs(task);
const head_names = Array.from({ length: read_heads + write_heads }, (_, h) => {
  const writes = h >= read_heads, many = writes ? write_heads : read_heads;
  return `${writes ? "write" : "read"} head${many > 1 ? ` ${writes ? h - read_heads + 1 : h + 1}` : ""}`;
});
const GUTTER = 72; // left of the memory: numbers of rows, marks of heads
// A head and the one of the other kind that is shown with it.
const pair_of = (head) => (head < read_heads
  ? { reader: head, writer: read_heads + (head % write_heads) }
  : { reader: (head - read_heads) % read_heads, writer: head });
const capital = (text) => text[0].toUpperCase() + text.slice(1);

// All that a person has chosen.
const view = {
  sizes: {}, content: null, text: "", seed: 1, n_width: machine.cell.n_width, edits: [], time: 0,
  head: read_heads, at: null, square: { time: 1, channel: 0 }, playing: null,
};
// What follows of it.
let sequence, steps = [], undisturbed = [], rows = [], largest = 1, layout = {};

// ---- from what was chosen to all steps ---------------------------------------------------------

let known = { inputs: [], edits: [], n_width: 0, steps: [] };

// The machine's steps; those before the first thing that has changed are kept.
function steps_of(inputs, edits, n_width) {
  let same = n_width === known.n_width ? 0 : -1;
  const acts = (list, time) => JSON.stringify(list.filter((edit) => edit.time === time));
  while (same >= 0 && same < Math.min(inputs.length, known.inputs.length) &&
    inputs[same].every((value, c) => value === known.inputs[same][c]) &&
    acts(edits, same) === acts(known.edits, same)) same += 1;
  const kept = known.steps.slice(0, Math.max(same, 0));
  known = { inputs, edits: [...edits], n_width, steps: run(machine, inputs, n_width, edits, kept) };
  return known.steps;
}

function update({ fresh = false } = {}) {
  sequence = kind.encode(task, view.content);
  view.time = Math.min(view.time, sequence.inputs.length - 1);
  if (fresh) view.edits = [];
  if (!view.edits.length) undisturbed = steps = steps_of(sequence.inputs, [], view.n_width);
  else {
    const plain = steps_of(sequence.inputs, [], view.n_width);
    undisturbed = plain;
    steps = steps_of(sequence.inputs, view.edits, view.n_width);
  }
  rows = used_rows(steps);
  largest = usual_size(steps.at(-1).state.memory);
  lay_out();
  draw_all();
}

// The shortest run of rows, round the end if need be, on which some head ever is.
function used_rows(all, threshold = 0.1) {
  const count = view.n_width, used = new Uint8Array(count);
  for (const { heads } of all) for (const { weights } of heads) {
    weights.forEach((weight, i) => { if (weight >= threshold) used[i] = 1; });
  }
  if (view.at) used[view.at.row] = 1;
  const found = [...used.keys()].filter((i) => used[i]);
  let begin = 0, gap = -1;
  found.forEach((row, k) => {
    const next = k + 1 < found.length ? found[k + 1] : found[0] + count;
    if (next - row > gap) [gap, begin] = [next - row, next % count];
  });
  const needed = found.length ? count - gap + 1 : 1;
  const shown = Math.min(count, Math.max(needed + 2, 8));
  const first = shown === count ? 0 : (begin - 1 + count) % count;
  return Array.from({ length: shown }, (_, k) => (first + k) % count);
}

// What a full square of the memory stands for: a number that few of them exceed.
function usual_size(memory) {
  const sizes = rows.flatMap((row) => [...memory.subarray(row * m_depth, (row + 1) * m_depth)]).map(Math.abs);
  return Math.max(0.1, sizes.sort((a, b) => a - b)[Math.floor(0.98 * (sizes.length - 1))]);
}

function draw_content(sizes) {
  view.sizes = sizes;
  view.content = kind.draw(task, sizes, generator(view.seed));
  view.text = "";
}

// ---- sizes of everything -----------------------------------------------------------------------

// All of it on one screen where that is possible: what is free below the head of the page is shared
// by the squares of bits and the rows of memory.
function lay_out() {
  const wide = window.matchMedia("(min-width: 60.01rem)").matches, times = sequence.inputs.length;
  const em = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const gutter = (wide ? 4.2 : 3) * em, bits = channels.length + 2 * output_names.length;
  const above = element("stage").getBoundingClientRect().top + window.scrollY;
  const strips = document.querySelectorAll(".strip:not([hidden])").length;
  const free = wide ? window.innerHeight - above - strips * 2.15 * em - element("playing").offsetHeight - 4 : 560;
  const square = clamp(Math.floor((free * 0.56) / bits), 8, bits < 9 ? 24 : 18);
  const row = clamp(Math.floor(2 * (free - square * bits) / rows.length) / 2, wide ? 2 : 3, 20);
  const column = wide ? 15 : 13, side = wide ? GUTTER + m_depth * column + 1.4 * em : 0;
  const page = document.querySelector("main").clientWidth;
  const width = clamp(Math.floor(2 * (page - gutter - side) / times) / 2, 3, wide ? 44 : 24);
  layout = { square, row, column, width, gutter, wide, em };
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

// ---- drawing -----------------------------------------------------------------------------------

function draw_all() {
  read_colours();
  const { width, square, row } = layout, times = sequence.inputs.length;
  const biggest = Math.max(1, ...sequence.inputs.flatMap((input) => [...input].map(Math.abs)));
  draw_vectors(element("input"), times, channels.length, width, square,
    (t, c) => ({ value: sequence.inputs[t][c] }), biggest);
  draw_vectors(element("output"), times, output_names.length, width, square, (t, c) => ({
    value: steps[t].probabilities[c],
    faint: kind !== OTHER_TASK && !sequence.loss_mask[t][c],
    wrong: !kind.guesses && wrong_bit(sequence, steps, t, c),
  }));
  draw_vectors(element("target"), times, output_names.length, width, square,
    (t, c) => ({ value: sequence.targets[t][c], faint: !sequence.loss_mask[t][c] }));
  draw_heads(element("heads"), steps, read_heads, rows, width, row,
    { chosen: view.head, flags: sequence.flags, edits: view.edits });
  label("names-input", channels, square);
  label("names-output", output_names, square);
  label("names-target", output_names, square);
  label("names-heads", rows.map((i) => `row ${i}`), row);
  describe_pictures();
  place_side();
  draw_consequence();
  draw_step();
}

// Names beside the squares: all of them, or as many as there is room for.
function label(id, names, height) {
  const every = Math.ceil((0.75 * layout.em) / height);
  const bits = names.filter((name) => /^bit \d/.test(name)).length;
  Object.assign(element(id).style, { height: `${names.length * height}px`, fontSize: `min(0.7rem, ${height + 2}px)` });
  element(id).innerHTML = names.map((name, k) => {
    const shown = k < bits ? k === 0 || (k === bits - 1 && bits > 1) : k % every === 0 || bits > 0;
    return shown ? `<span style="top:${Math.max((k + 0.5) * height, 0.4 * layout.em)}px">${name}</span>` : "";
  }).join("");
}

function describe_pictures() {
  const times = sequence.inputs.length, { wrong, bits } = score(sequence, steps);
  const say = (id, text) => element(id).setAttribute("aria-label", text);
  say("input", `Input, ${times} steps of ${channels.length} numbers. Arrows choose a square, Enter flips its bit.`);
  say("heads", `Weightings of ${head_names.length} heads over ${rows.length} of ${view.n_width} rows and ${times} steps.`);
  say("output", `Outputs of ${times} steps; ${wrong} of ${bits} bits are wrong.`);
  say("target", "What the outputs should be.");
  say("memory", `Memory, ${view.n_width} rows of ${m_depth} numbers. Arrows choose a number, Enter flips it.`);
}

function place_side() {
  const { wide } = layout;
  element("side-add").style.height = wide ? `${element("strip-input").offsetHeight}px` : "auto";
}

const phrase_of_heads = (done) => done.heads.length > 4
  ? `The ${head_names[view.head]} is on ${rows_in_words(done.heads[view.head].weights)}.`
  : done.heads.map((head, h) => {
    const writes = h >= read_heads;
    return `The <span class="${writes ? "write" : "read"}">${head_names[h]}</span> is on ${rows_in_words(head.weights)}.`;
  }).reverse().join(" ");

function rows_in_words(weights) {
  const at = strongest_row(weights), share = weights[at];
  return share >= 0.9 ? `row ${at}` : share >= 0.4 ? `row ${at} (${Math.round(100 * share)}%)` : "many rows at once";
}

// What changes from step to step.
function draw_step() {
  const time = view.time, done = steps[time], { width, row, column, gutter, wide } = layout;
  const chosen = done.heads[view.head], tape = element("tape");
  const left = gutter + time * width;
  Object.assign(element("cursor").style, { left: `${left - 2}px`, width: `${width + 4}px` });
  Object.assign(element("veil").style, {
    left: `${left + width + 2}px`, width: `${Math.max((steps.length - time - 1) * width - 2, 0)}px`,
  });
  if (left + width > tape.scrollLeft + tape.clientWidth - 8 || left < tape.scrollLeft + gutter) {
    tape.scrollLeft = left - tape.clientWidth / 2;
  }
  element("phrase").textContent = `${sequence.phrases[time]}.`;
  element("where").innerHTML = phrase_of_heads(done);
  element("scrub").max = steps.length - 1;
  element("scrub").value = time;
  element("scrub").setAttribute("aria-valuetext", `step ${time + 1} of ${steps.length}: ${sequence.phrases[time]}`);
  element("step-number").textContent = `${time + 1} of ${steps.length}`;
  element("back").disabled = element("first").disabled = time === 0;
  element("next").disabled = element("last").disabled = time === steps.length - 1;

  const { reader, writer } = pair_of(view.head);
  element("added-by").textContent = `by the ${head_names[writer]}`;
  element("read-by").textContent = `by the ${head_names[reader]}`;
  const side = { gutter: GUTTER, largest, heads: done.heads, read_heads, at: view.at };
  draw_memory(element("memory"), done.state.memory, m_depth, rows, column, row, side);
  const beside = (id, values, text) => {
    draw_row(element(id), values, column, Math.min(15, column), Math.max(largest, ...values.map(Math.abs)));
    element(id).style.marginLeft = `${GUTTER}px`;
    element(id).setAttribute("aria-label", `${text}: ${[...values].map((value) => fixed(value)).join(", ")}`);
  };
  beside("added", done.heads[writer].add, "Add vector");
  beside("fetched", done.state.reads[reader], "Read vector");

  element("verdict").innerHTML = verdict();
  const priority = data.task.name === "priority_sort" && time < view.content.vectors.length;
  element("priority-of").hidden = data.task.name !== "priority_sort";
  element("priority").disabled = !priority;
  if (priority) element("priority").value = view.content.priorities[time][0];
  element("disturb-when").textContent = time < steps.length - 1
    ? `Acts after step ${time + 1}, where you are, and on all that follows.`
    : "This is the last step, nothing follows it: go back to an earlier one first.";
  element("tool-head").textContent = capital(`the ${head_names[view.head]}`);
  if (document.activeElement !== element("row")) element("row").value = view.at?.row ?? strongest_row(chosen.weights);
  if (document.activeElement !== element("column")) element("column").value = view.at?.column ?? 0;
  if (wide || !view.playing) draw_inside(done);
}

function verdict() {
  const { wrong, bits, cost, optimum } = score(sequence, steps);
  if (!bits) return "";
  if (kind.guesses) return `costs ${fixed(cost, 1)} bits in all; the best possible guesser needs ${fixed(optimum, 1)}`;
  const said = wrong ? `<mark>&times; ${wrong} of ${bits} bits wrong</mark>` : `all ${bits} bits right`;
  return said + text_out();
}

// What came back, read as text, if a text was given.
function text_out() {
  if (!view.text || task.bits !== 8) return "";
  const came = steps.filter((_, t) => sequence.loss_mask[t][0])
    .map((done) => [...done.probabilities.slice(0, 8)].map((p) => (p > 0.5 ? 1 : 0)));
  return ` &ldquo;${escaped(vectors_text(came))}&rdquo;`;
}

const escaped = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.charCodeAt(0)};`);

function draw_inside(done) {
  const h = view.head, name = capital(head_names[h]);
  element("inside-head").textContent = `the ${head_names[h]}`;
  const { reader, writer } = pair_of(h);
  const column_of = (values) => view.at?.column ?? strongest_row(values.map(Math.abs));
  element("cards").innerHTML = address_card(machine, done, h, name) +
    `<div style="display:grid;gap:.9rem;align-content:start;min-width:0">${write_card(machine, done, writer, column_of(done.heads[writer].add))}` +
    `${read_card(machine, done, reader, column_of(done.state.reads[reader]))}${controller_card(machine, done)}</div>`;
  const inner = element("cards").querySelector(".card").clientWidth - 2 * 0.95 * layout.em;
  draw_address(done, h, rows, element, Math.floor(inner));
  draw_controller(machine, done, element);
  const square = Math.min(15, Math.floor(inner / m_depth));
  const one = (id, values, most) => draw_row(element(id), values, square, 13, most);
  one("erase", done.heads[writer].erase, 1);
  one("add", done.heads[writer].add, Math.max(largest, ...done.heads[writer].add.map(Math.abs)));
  one("reads", done.state.reads[reader], Math.max(largest, ...done.state.reads[reader].map(Math.abs)));
  if (element("numbers").open) element("all-numbers").innerHTML = all_numbers(machine, done, head_names);
}

function draw_consequence() {
  const now = score(sequence, steps), before = score(sequence, undisturbed);
  const changed = steps.reduce((count, done, t) => count + done.probabilities.reduce((n, p, c) =>
    n + (sequence.loss_mask[t][c] > 0 && (p > 0.5) !== (undisturbed[t].probabilities[c] > 0.5)), 0), 0);
  element("consequence").innerHTML = !view.edits.length ? "Nothing was done to it yet."
    : kind.guesses ? `Undisturbed, it costs ${fixed(before.cost, 1)} bits; now ${fixed(now.cost, 1)}.`
    : `Undisturbed, ${before.wrong} of ${before.bits} bits are wrong; now <mark>${now.wrong}</mark>. ${changed} of its answers changed.`;
  element("edits").innerHTML = view.edits.map((edit, k) =>
    `<li>After step ${edit.time + 1}: ${edit_words(edit)} <button type="button" data-edit="${k}">Undo this</button></li>`).join("");
  element("undo").disabled = !view.edits.length;
}

function edit_words({ kind: what, head, by, row, column, gate }) {
  if (what === "move") return `the ${head_names[head]} moved ${by > 0 ? "down" : "up"} a row`;
  if (what === "blank") return `row ${row} blanked`;
  if (what === "flip") return `the number in row ${row}, column ${column} flipped`;
  return what === "freeze" ? `the gate of the ${head_names[head]} frozen at ${fixed(gate)}` : `the gate of the ${head_names[head]} let go`;
}
