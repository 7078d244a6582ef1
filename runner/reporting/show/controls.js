// What a person can press, and what it does to the view.

const on = (id, event, action) => element(id).addEventListener(event, action);
const say = (text) => { element("said").textContent = text; };

function go(time) {
  view.time = clamp(time, 0, steps.length - 1);
  draw_step();
}

function play(playing = !view.playing) {
  clearInterval(view.playing);
  view.playing = null;
  if (playing) {
    if (view.time === steps.length - 1) go(0);
    view.playing = setInterval(() => {
      if (view.time >= steps.length - 1) play(false);
      else go(view.time + 1);
    }, 1000 / element("speed").value);
  }
  element("play").textContent = playing ? "Pause" : "Play";
  element("play").setAttribute("aria-pressed", String(playing));
  element("now").setAttribute("aria-live", playing ? "off" : "polite");
  if (!playing) draw_step();
}

// ---- what it is given --------------------------------------------------------------------------

function size_inputs() {
  element("sizes").innerHTML = Object.entries(kind.sizes(task)).map(([key, { name, least, most }]) =>
    `<label>${name} <input type="number" id="size-${key}" data-size="${key}" min="${least}" max="${most}"></label>`).join("");
  for (const input of element("sizes").querySelectorAll("input")) {
    input.addEventListener("change", () => {
      const { least, most } = kind.sizes(task)[input.dataset.size];
      const value = clamp(Math.round(Number(input.value)) || least, least, most);
      give(sensible({ ...view.sizes, [input.dataset.size]: value }), true);
    });
  }
}

// The item asked for has another one after it.
const sensible = (sizes) => ("asked" in sizes ? { ...sizes, asked: Math.min(sizes.asked, sizes.items - 1) } : sizes);

function give(sizes, keep = false) {
  const old = view.content;
  draw_content(sizes);
  if (keep) for (const [name, list] of Object.entries(old ?? {})) {
    if (Array.isArray(list)) list.slice(0, view.content[name].length).forEach((item, k) => { view.content[name][k] = item; });
  }
  show_sizes();
  update({ fresh: true });
}

function show_sizes() {
  for (const [key, value] of Object.entries(view.sizes)) element(`size-${key}`).value = value;
}

function give_text(text) {
  if (!text) return;
  const { sizes, content } = kind.typed(task, text, view.sizes, generator(view.seed));
  Object.assign(view, { sizes, content, text });
  show_sizes();
  update({ fresh: true });
  say(`The text is given as ${sequence.inputs.length} steps.`);
}

function flip_input({ time, channel }) {
  const place = sequence.places.get(`${time},${channel}`);
  if (!place || place[0] === "priorities") return say("This square cannot be flipped: only the bits can.");
  const [list, index, bit] = place;
  view.content[list][index] = view.content[list][index].map((value, k) => (k === bit ? 1 - value : value));
  view.text = "";
  update();
  return say(`Step ${time + 1}, ${channels[channel]}: ${view.content[list][index][bit]}.`);
}

// ---- what is done to it ------------------------------------------------------------------------

function disturb(edit) {
  if (view.time >= steps.length - 1) return say("Nothing follows the last step.");
  view.edits.push({ ...edit, time: view.time });
  update();
  return say(`After step ${view.time + 1}: ${edit_words(edit)}. ${element("consequence").textContent}`);
}

const move_head = (by) => disturb({ kind: "move", head: view.head, by });
const blank_row = (row) => disturb({ kind: "blank", row });
const flip_number = (row, column) => disturb({ kind: "flip", row, column });

function undo(which = null) {
  view.edits = which === null ? [] : view.edits.filter((_, k) => k !== which);
  update();
}

function choose_head(head) {
  view.head = (head + head_names.length) % head_names.length;
  for (const button of element("heads-legend").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.head) === view.head));
  }
  draw_all();
}

// One button a head; where there are many of a kind, its name stands once before their numbers.
function head_buttons() {
  const button = (h, text) => {
    const writes = h >= read_heads;
    return `<button type="button" data-head="${h}" class="${writes ? "write" : "read"}" aria-pressed="${h === view.head}" ` +
      `aria-label="${head_names[h]}"><span class="${writes ? "square" : "ring"}" aria-hidden="true"></span>${text}</button>`;
  };
  const group = (first, count, name) => {
    if (count === 1) return button(first, `${name} head`);
    const buttons = Array.from({ length: count }, (_, k) => button(first + k, k + 1));
    return `<span class="of ${name}" aria-hidden="true">${name}</span>${buttons.join("")}`;
  };
  element("heads-legend").innerHTML = group(read_heads, write_heads, "write") + group(0, read_heads, "read");
  on("heads-legend", "click", ({ target }) => {
    const pressed = target.closest("button");
    if (pressed) choose_head(Number(pressed.dataset.head));
  });
}

// A row or column of the memory, from what was typed.
const typed_number = (id, most) => clamp(Math.round(Number(element(id).value)) || 0, 0, most - 1);

function connect_disturbing() {
  on("move-up", "click", () => move_head(-1));
  on("move-down", "click", () => move_head(1));
  on("gate", "input", () => { element("gate-value").textContent = fixed(Number(element("gate").value)); });
  on("freeze", "click", () => disturb({ kind: "freeze", head: view.head, gate: Number(element("gate").value) }));
  on("release", "click", () => disturb({ kind: "release", head: view.head }));
  on("blank", "click", () => blank_row(typed_number("row", view.n_width)));
  on("flip", "click", () => flip_number(typed_number("row", view.n_width), typed_number("column", m_depth)));
  on("undo", "click", () => undo());
  on("edits", "click", ({ target }) => { if (target.dataset.edit) undo(Number(target.dataset.edit)); });
  on("n-width", "change", () => {
    view.n_width = clamp(Math.round(Number(element("n-width").value)) || 1, machine.cell.shift_range, 4096);
    element("n-width").value = view.n_width;
    view.at = null;
    view.edits = view.edits.filter(({ row = 0 }) => row < view.n_width);
    update();
  });
}

// ---- pictures that are pressed -----------------------------------------------------------------

function square_under(event, width, height, left = 0) {
  const box = event.currentTarget.getBoundingClientRect();
  return [Math.floor((event.clientX - box.left - left) / width), Math.floor((event.clientY - box.top) / height)];
}

function connect_pictures() {
  for (const id of ["heads", "output", "target"]) {
    on(id, "click", (event) => go(square_under(event, layout.width, 1)[0]));
  }
  on("input", "click", (event) => {
    const [time, channel] = square_under(event, layout.width, layout.square);
    view.square = { time, channel };
    if (sequence.places.has(`${time},${channel}`)) flip_input(view.square);
    go(time);
  });
  on("memory", "click", (event) => {
    const [column, place] = square_under(event, layout.column, layout.row, GUTTER);
    if (place < 0 || place >= rows.length) return;
    view.at = { row: rows[place], column: clamp(column, 0, m_depth - 1) };
    if (column >= 0) flip_number(view.at.row, view.at.column);
    draw_step();
  });
  on("input", "keydown", (event) => {
    const { time, channel } = view.square;
    act(event, {
      ArrowLeft: () => choose_square(time - 1, channel), ArrowRight: () => choose_square(time + 1, channel),
      ArrowUp: () => choose_square(time, channel - 1), ArrowDown: () => choose_square(time, channel + 1),
      Enter: () => flip_input(view.square), " ": () => flip_input(view.square),
    });
  });
  on("memory", "keydown", (event) => {
    const { row, column } = view.at ?? { row: rows[0], column: 0 }, place = rows.indexOf(row);
    act(event, {
      ArrowLeft: () => choose_number(place, column - 1), ArrowRight: () => choose_number(place, column + 1),
      ArrowUp: () => choose_number(place - 1, column), ArrowDown: () => choose_number(place + 1, column),
      Enter: () => flip_number(row, column), " ": () => flip_number(row, column), Delete: () => blank_row(row),
    });
  });
}

function act(event, actions) {
  const action = actions[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  event.stopPropagation();
  action();
}

function choose_square(time, channel) {
  view.square = { time: clamp(time, 0, steps.length - 1), channel: clamp(channel, 0, channels.length - 1) };
  go(view.square.time);
  draw_square();
  const value = sequence.inputs[view.square.time][view.square.channel];
  say(`Step ${view.square.time + 1}, ${channels[view.square.channel]}: ${fixed(value)}`);
}

// The square that the keyboard has chosen, with a frame.
function draw_square() {
  draw_all();
  const context = element("input").getContext("2d"), { width, square } = layout;
  context.strokeStyle = COLOURS.read;
  context.lineWidth = 2.5;
  context.strokeRect(view.square.time * width + 1, view.square.channel * square + 1, width - 2, square - 2);
}

function choose_number(place, column) {
  view.at = { row: rows[clamp(place, 0, rows.length - 1)], column: clamp(column, 0, m_depth - 1) };
  draw_step();
  say(`Row ${view.at.row}, column ${view.at.column}: ${fixed(steps[view.time].state.memory[view.at.row * m_depth + view.at.column])}`);
}

// ---- the rest ----------------------------------------------------------------------------------

function connect() {
  on("random", "click", () => { view.seed += 1; give(view.sizes); });
  on("giving", "submit", (event) => { event.preventDefault(); give_text(element("text").value); });
  on("priority", "input", () => {
    view.content.priorities[view.time] = [Number(element("priority").value)];
    update();
  });
  on("first", "click", () => go(0));
  on("back", "click", () => go(view.time - 1));
  on("next", "click", () => go(view.time + 1));
  on("last", "click", () => go(steps.length - 1));
  on("play", "click", () => play());
  on("scrub", "input", () => go(Number(element("scrub").value)));
  on("speed", "change", () => { if (view.playing) play(true); });
  on("numbers", "toggle", () => draw_step());
  connect_disturbing();
  connect_pictures();
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    const pressing = event.target.closest("button, summary") && [" ", "Enter"].includes(event.key);
    if (typing || pressing) return;
    act(event, {
      " ": () => play(), ArrowLeft: () => go(view.time - 1), ArrowRight: () => go(view.time + 1),
      Home: () => go(0), End: () => go(steps.length - 1),
      r: () => element("random").click(), h: () => choose_head(view.head + 1), u: () => undo(),
      "[": () => move_head(-1), "]": () => move_head(1),
      b: () => blank_row(strongest_row(steps[view.time].heads[view.head].weights)),
    });
  });
  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { lay_out(); draw_all(); }, 80);
  });
}

function use_theme(theme) {
  document.documentElement.dataset.theme = theme;
  element("theme").textContent = theme === "dark" ? "Light" : "Dark";
  if (steps.length) draw_all();
}

function begin() {
  element("title").textContent = kind.title;
  element("idea").textContent = kind.idea;
  element("about").textContent = data.about;
  use_theme(window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  on("theme", "click", () => use_theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  if (data.machine.unknown.length) {
    element("unknown").hidden = false;
    element("works").hidden = true;
    element("unknown-list").append(...data.machine.unknown.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
    return;
  }
  element("strip-target").hidden = kind === OTHER_TASK;
  if (kind.guesses) element("target-title").textContent = "What came next";
  element("n-width").min = machine.cell.shift_range;
  element("n-width").value = view.n_width;
  size_inputs();
  head_buttons();
  connect();
  give(Object.fromEntries(Object.entries(kind.sizes(task)).map(([key, { first }]) => [key, first])));
  const due = sequence.loss_mask.findIndex((mask) => mask.some(Boolean));
  go(due < 0 ? Math.floor(0.6 * steps.length) : due + Math.floor(0.6 * (steps.length - due)));
}

begin();
