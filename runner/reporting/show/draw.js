// Pictures on canvases. A number is a square as large as it: filled if above zero, hollow if below
// (a Hinton diagram), so that all is readable without colour.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const COLOURS = {};
const read_colours = () => ["ink", "soft", "cell", "paper", "write", "read", "wrong", "on-wrong", "flag"]
  .forEach((name) => { COLOURS[name] = colour(name); });

// A canvas made as large as wanted, in CSS pixels, and empty.
function fit(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

// The gap around a cell: none where cells are small.
const gap_of = (width, height) => (Math.min(width, height) >= 7 ? 1 : Math.min(width, height) >= 4 ? 0.5 : 0);

function cell(context, x, y, width, height, fill) {
  const gap = gap_of(width, height);
  context.fillStyle = fill;
  context.fillRect(x + gap, y + gap, width - 2 * gap, height - 2 * gap);
}

function number(context, x, y, width, height, value, largest, paint) {
  const size = Math.sqrt(Math.min(Math.abs(value) / largest, 1));
  if (size < 0.08) return;
  const gap = gap_of(width, height), w = (width - 2 * gap) * size, h = (height - 2 * gap) * size;
  const left = x + (width - w) / 2, top = y + (height - h) / 2;
  context.fillStyle = context.strokeStyle = paint;
  if (value > 0) {
    context.fillRect(left, top, w, h);
  } else {
    const line = Math.min(1.5, w / 3, h / 3);
    context.lineWidth = line;
    context.strokeRect(left + line / 2, top + line / 2, w - line, h - line);
  }
}

function cross(context, x, y, width, height) {
  const inset = Math.min(width, height) * 0.22, line = Math.max(1, Math.min(width, height) / 7);
  context.beginPath();
  context.moveTo(x + inset, y + inset);
  context.lineTo(x + width - inset, y + height - inset);
  context.moveTo(x + width - inset, y + inset);
  context.lineTo(x + inset, y + height - inset);
  for (const [wider, paint] of [[2.6, "wrong"], [1, "on-wrong"]]) {
    context.strokeStyle = COLOURS[paint];
    context.lineWidth = wider * line;
    context.stroke();
  }
}

// Vectors over time, each a column of squares. `look` says of a square: { value, faint, wrong }.
function draw_vectors(canvas, times, channels, width, height, look, largest = 1) {
  const context = fit(canvas, times * width, channels * height);
  for (let t = 0; t < times; t++) {
    for (let c = 0; c < channels; c++) {
      const { value, faint, wrong } = look(t, c), x = t * width, y = c * height;
      context.globalAlpha = faint ? 0.14 : 1;
      cell(context, x, y, width, height, wrong ? COLOURS.wrong : COLOURS.cell);
      number(context, x, y, width, height, value, largest, wrong ? COLOURS["on-wrong"] : COLOURS.ink);
      if (wrong) cross(context, x, y, width, height);
    }
  }
  context.globalAlpha = 1;
}

// One head on one row: what writes is a filled square, what reads a ring.
function mark(context, x, y, width, height, weight, writes) {
  const size = Math.sqrt(Math.min(weight, 1)), small = Math.min(width, height) < 5;
  const gap = gap_of(width, height);
  let w = (width - 2 * gap) * size, h = (height - 2 * gap) * size;
  context.fillStyle = context.strokeStyle = writes ? COLOURS.write : COLOURS.read;
  if (writes || small) {
    if (small) [w, h] = [width, Math.max(1, height * size * (writes ? 1 : 0.6))];
    context.fillRect(x + (width - w) / 2, y + (height - h) / 2, w, h);
    return;
  }
  const radius = Math.max((Math.min(width, height) / 2 - 1.2) * size, 1);
  for (const [line, paint] of [[3.6, COLOURS.paper], [2, COLOURS.read]]) {
    context.lineWidth = line;
    context.strokeStyle = paint;
    context.beginPath();
    context.arc(x + width / 2, y + height / 2, radius, 0, 2 * Math.PI);
    context.stroke();
  }
}

// Where heads are over time. `rows`: those of the memory that are drawn, from the top down.
function draw_heads(canvas, steps, read_heads, rows, width, height, { chosen, flags, edits }) {
  const context = fit(canvas, steps.length * width, rows.length * height);
  context.fillStyle = COLOURS.cell;
  context.fillRect(0, 0, steps.length * width, rows.length * height);
  context.fillStyle = COLOURS.flag;
  for (const t of flags) context.fillRect(t * width, 0, width, rows.length * height);
  const many = steps[0].heads.length > 2;
  steps.forEach((step, t) => {
    for (let h = step.heads.length - 1; h >= 0; h--) {
      context.globalAlpha = many && h !== chosen ? 0.28 : 1;
      rows.forEach((row, place) => {
        const weight = step.heads[h].weights[row];
        if (weight > 0.02) mark(context, t * width, place * height, width, height, weight, h >= read_heads);
      });
    }
  });
  context.globalAlpha = 1;
  context.strokeStyle = COLOURS.ink;
  context.lineWidth = 1.5;
  context.setLineDash([4, 3]);
  for (const { time } of edits) {
    context.beginPath();
    context.moveTo((time + 1) * width, 0);
    context.lineTo((time + 1) * width, rows.length * height);
    context.stroke();
  }
  context.setLineDash([]);
}

// The rows of memory as a picture, with marks at the left for the heads on them.
function draw_memory(canvas, memory, columns, rows, width, height, { gutter, largest, heads, read_heads, at }) {
  const context = fit(canvas, gutter + columns * width, rows.length * height);
  const side = Math.max(height, 6), every = Math.ceil(12 / height);
  context.font = "10px system-ui, sans-serif";
  context.textBaseline = "middle";
  rows.forEach((row, place) => {
    const y = place * height;
    context.fillStyle = COLOURS.soft;
    if (place % every === 0) context.fillText(row, 0, Math.max(y + height / 2, 6));
    for (let j = 0; j < columns; j++) {
      cell(context, gutter + j * width, y, width, height, COLOURS.cell);
      number(context, gutter + j * width, y, width, height, memory[row * columns + j], largest, COLOURS.ink);
    }
    const strongest = (part) => Math.max(...part.map((head) => head.weights[row]));
    const [reads, writes] = [strongest(heads.slice(0, read_heads)), strongest(heads.slice(read_heads))];
    if (writes > 0.02) mark(context, gutter - 36, y, Math.min(side, 16), height, writes, true);
    if (reads > 0.02) mark(context, gutter - 18, y, Math.min(side, 16), height, reads, false);
    for (const [weight, paint] of [[writes, COLOURS.write], [reads, COLOURS.read]]) {
      if (weight < 0.3 || height < 5) continue;
      context.strokeStyle = paint;
      context.lineWidth = 1.5;
      const inset = paint === COLOURS.read && writes >= 0.3 ? 2 : 0.75;
      context.strokeRect(gutter + inset, y + inset, columns * width - 2 * inset, height - 2 * inset);
    }
  });
  const place = at ? rows.indexOf(at.row) : -1;
  if (place >= 0) {
    context.strokeStyle = COLOURS.ink;
    context.lineWidth = 2;
    context.strokeRect(gutter + at.column * width, place * height, width, height);
  }
}

// One vector as a row of squares, wrapped after so many.
function draw_row(canvas, values, width, height, largest, wrap = values.length) {
  const context = fit(canvas, Math.min(wrap, values.length) * width, Math.ceil(values.length / wrap) * height);
  values.forEach((value, k) => {
    const x = (k % wrap) * width, y = Math.floor(k / wrap) * height;
    cell(context, x, y, width, height, COLOURS.cell);
    number(context, x, y, width, height, value, largest, COLOURS.ink);
  });
}

// A weighting as bars over the rows that are drawn.
function draw_bars(canvas, weights, rows, width, height, paint, focus) {
  const context = fit(canvas, width, height), bar = width / rows.length;
  context.fillStyle = COLOURS.cell;
  context.fillRect(0, 0, width, height);
  const place = rows.indexOf(focus);
  if (place >= 0) {
    context.fillStyle = COLOURS.flag;
    context.fillRect(place * bar, 0, bar, height);
  }
  context.fillStyle = paint;
  rows.forEach((row, k) => {
    const tall = weights[row] * (height - 3);
    context.fillRect(k * bar + bar * 0.1, height - Math.max(tall, weights[row] > 0.003 ? 1 : 0), bar * 0.8, tall + 1);
  });
}
