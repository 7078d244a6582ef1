// The machine, forward: the functions of ntm/ under their Python names, for one sequence.
//
// A vector is a Float32Array. A memory of N rows of M numbers lies in one Float32Array, row after
// row. Sums are of 64 bits, what is kept is of 32, as in Keras.

const WEIGHT_FLOOR = 1e-12;

const sigmoid = (x) => 1 / (1 + Math.exp(-x));
const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

// To 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const factors = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];
  const sum = factors.reduce((total, factor) => total * t + factor, 0);
  return Math.sign(x) * (1 - sum * t * Math.exp(-x * x));
}

const ACTIVATIONS = {
  linear: (x) => x,
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid,
  hard_sigmoid: (x) => Math.min(Math.max(x / 6 + 0.5, 0), 1),
  softplus,
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  selu: (x) => 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  silu: (x) => x * sigmoid(x),
  softsign: (x) => x / (1 + Math.abs(x)),
};

function softmax(values) {
  let highest = -Infinity, total = 0;
  for (const value of values) highest = Math.max(highest, value);
  const powers = Float64Array.from(values, (value) => Math.exp(value - highest));
  for (const power of powers) total += power;
  return Float32Array.from(powers, (power) => power / total);
}

// ---- ntm/addressing.py -------------------------------------------------------------------------

// Equation 6: the cosine of a key and each row; a shorter vector counts as `shortest` long.
function similarities(memory, key, shortest) {
  const columns = key.length, rows = memory.length / columns;
  const length = (squared) => Math.max(Math.sqrt(squared), shortest);
  const of_key = length(key.reduce((sum, value) => sum + value * value, 0));
  const found = new Float64Array(rows);
  for (let i = 0, place = 0; i < rows; i++) {
    let product = 0, squared = 0;
    for (let j = 0; j < columns; j++, place++) {
      product += memory[place] * key[j];
      squared += memory[place] * memory[place];
    }
    found[i] = product / length(squared) / of_key;
  }
  return found;
}

// Equation 5.
function content_weighting(memory, key, strength, shortest) {
  return softmax(similarities(memory, key, shortest).map((cosine) => strength * cosine));
}

// Equation 7.
function interpolate(content, previous, gate) {
  return previous.map((weight, i) => weight + gate * (content[i] - weight));
}

function shift_offsets(shift_range) {
  const lowest = -Math.floor((shift_range - 1) / 2);
  return Array.from({ length: shift_range }, (_, j) => lowest + j);
}

// Equation 8.
function shift(weights, shift_weights) {
  const rows = weights.length, shifted = new Float64Array(rows);
  shift_offsets(shift_weights.length).forEach((offset, j) => {
    for (let i = 0; i < rows; i++) {
      shifted[i] += shift_weights[j] * weights[(i - offset + rows * Math.abs(offset)) % rows];
    }
  });
  return Float32Array.from(shifted);
}

// Equation 9.
function sharpen(weights, sharpness) {
  return softmax(Float64Array.from(weights, (w) => sharpness * Math.log(w + WEIGHT_FLOOR)));
}

// Equations 5 to 9 of one head; what each of them gives is kept to be shown.
function address(memory, previous, told, shortest) {
  const content = content_weighting(memory, told.key, told.strength, shortest);
  const gated = interpolate(content, previous, told.gate);
  const shifted = shift(gated, told.shift_weights);
  return { previous, content, gated, shifted, weights: sharpen(shifted, told.sharpness) };
}

// ---- ntm/memory.py -----------------------------------------------------------------------------

function first_memory(n_width, m_depth, row_codes, constants) {
  const slowest = Math.max(1, Math.floor((m_depth - 1) / 2));
  const memory = new Float32Array(n_width * m_depth);
  for (let i = 0; i < n_width; i++) {
    for (let j = 0; j < m_depth; j++) {
      const wave = Math.floor(j / 2);
      const rate = constants.fastest_wave * constants.wave_range ** (-wave / slowest);
      const phase = (j - 2 * wave) * (Math.PI / 2);
      memory[i * m_depth + j] = constants.initial_memory + row_codes * Math.sin(rate * i + phase);
    }
  }
  return memory;
}

// Equation 2.
function read(memory, weights) {
  const columns = memory.length / weights.length, vector = new Float64Array(columns);
  weights.forEach((weight, i) => {
    for (let j = 0; j < columns; j++) vector[j] += weight * memory[i * columns + j];
  });
  return Float32Array.from(vector);
}

// Equations 3 and 4: all heads erase, then all add. `heads`: what each is told, and its weights.
function write(memory, heads) {
  const rows = heads[0].weights.length, columns = memory.length / rows;
  const written = new Float32Array(memory.length);
  for (let i = 0, place = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++, place++) {
      let kept = memory[place], added = 0;
      for (const { weights, erase, add } of heads) {
        kept *= 1 - weights[i] * erase[j];
        added += weights[i] * add[j];
      }
      written[place] = kept + added;
    }
  }
  return written;
}

// ---- ntm/heads.py ------------------------------------------------------------------------------

// The controller's output as the machine's own output, and what every head is told.
function parse(controller_output, cell) {
  const { units, m_depth, shift_range, read_heads, write_heads, parameter_bound: bound } = cell;
  const heads = read_heads + write_heads;
  const bounded = (x) => Math.min(Math.max(x, -bound), bound);
  let place = units;
  const take = (count, size) => Array.from({ length: count }, () => {
    place += size;
    return controller_output.slice(place - size, place).map(bounded);
  });
  const key = take(heads, m_depth), strength = take(heads, 1), gate = take(heads, 1);
  const shift_weights = take(heads, shift_range), sharpness = take(heads, 1);
  const erase = take(write_heads, m_depth), add = take(write_heads, m_depth);
  const told = key.map((_, h) => activate({
    key: key[h],
    strength: strength[h][0],
    gate: gate[h][0],
    shift_weights: shift_weights[h],
    sharpness: sharpness[h][0],
    erase: erase[h - read_heads],
    add: add[h - read_heads],
  }, cell));
  return { output: controller_output.slice(0, units), told };
}

function activate(raw, { gate_offset, write_gate_offset, write_shift_offset, sharpness_offset }) {
  const shifts = shift_offsets(raw.shift_weights.length);
  const offset = gate_offset + (raw.add ? write_gate_offset : 0);
  const leaning = (x, j) => x + (raw.add && shifts[j] === 1 ? write_shift_offset : 0);
  return {
    key: Float32Array.from(raw.key, Math.tanh),
    strength: softplus(raw.strength),
    gate: sigmoid(raw.gate - offset),
    shift_weights: softmax(raw.shift_weights.map(leaning)),
    sharpness: 1 + softplus(raw.sharpness + sharpness_offset),
    erase: raw.erase && Float32Array.from(raw.erase, sigmoid),
    add: raw.add && Float32Array.from(raw.add),
  };
}

// ---- ntm/controller.py -------------------------------------------------------------------------

// outputs += inputs times a matrix of as many rows.
function add_product(outputs, inputs, matrix) {
  const width = outputs.length;
  for (let i = 0; i < inputs.length; i++) {
    const value = inputs[i];
    if (value === 0) continue;
    for (let k = 0, place = i * width; k < width; k++, place++) outputs[k] += value * matrix[place];
  }
  return outputs;
}

function dense({ kernel, bias, activation }, inputs) {
  const width = kernel.length / inputs.length;
  const sums = bias ? Float64Array.from(bias) : new Float64Array(width);
  return Float32Array.from(add_product(sums, inputs, kernel), ACTIVATIONS[activation]);
}

function lstm_cell({ kernel, recurrent_kernel, bias, activation, recurrent_activation }, inputs, states) {
  const [hidden, cell] = states, units = hidden.length;
  const sums = bias ? Float64Array.from(bias) : new Float64Array(4 * units);
  add_product(add_product(sums, inputs, kernel), hidden, recurrent_kernel);
  const act = ACTIVATIONS[activation], open = ACTIVATIONS[recurrent_activation];
  const part = (gate, u) => sums[gate * units + u];
  const new_cell = cell.map((c, u) => open(part(1, u)) * c + open(part(0, u)) * act(part(2, u)));
  return [new_cell.map((c, u) => open(part(3, u)) * act(c)), new_cell];
}

// A chain of stages: what it puts out, what its last stage makes that of, and the new states.
function call(stages, inputs, states) {
  const made = [], new_states = [];
  let features = inputs;
  stages.forEach((stage, s) => {
    features = inputs;
    if (stage.kind === "lstm") {
      new_states[s] = lstm_cell(stage, inputs, states[s]);
      inputs = new_states[s][0];
    } else {
      new_states[s] = [];
      inputs = stage.kind === "dense" ? dense(stage, inputs) : inputs.map(ACTIVATIONS[stage.activation]);
    }
    made.push(inputs);
  });
  return { outputs: inputs, features, states: new_states, made };
}

const zero_states = (stages) => stages.map(({ kind, units }) =>
  kind === "lstm" ? [new Float32Array(units), new Float32Array(units)] : []);

// ---- ntm/cell.py -------------------------------------------------------------------------------

function get_initial_state(machine, n_width) {
  const { units, m_depth, row_codes, read_heads, write_heads } = machine.cell;
  const first_row = Float32Array.from({ length: n_width }, (_, i) => (i === 0 ? 1 : 0));
  return {
    output: new Float32Array(units),
    memory: first_memory(n_width, m_depth, row_codes, machine.cell),
    weightings: Array.from({ length: read_heads + write_heads }, () => first_row),
    reads: Array.from({ length: read_heads },
      () => new Float32Array(m_depth).fill(machine.cell.initial_memory)),
    controller: zero_states(machine.controller),
    readout: zero_states(machine.readout),
  };
}

const concatenated = (...vectors) => Float32Array.from(vectors.flatMap((vector) => [...vector]));

// One time step. `gates`: by head, a gate that is held whatever the controller says.
function step(machine, inputs, state, gates = {}) {
  const { cell } = machine;
  const seen = concatenated(inputs, ...state.reads);
  const control = call(machine.controller, seen, state.controller);
  const { output, told } = parse(control.outputs, cell);
  told.forEach((head, h) => { if (h in gates) head.gate = gates[h]; });
  const heads = told.map((head, h) => ({
    ...head, ...address(state.memory, state.weightings[h], head, cell.shortest),
  }));
  const reads = heads.slice(0, cell.read_heads).map((head) => read(state.memory, head.weights));
  const memory = write(state.memory, heads.slice(cell.read_heads));
  const sums = Float64Array.from(output);
  let readout = { states: [] };
  if (machine.readout.length) {
    readout = call(machine.readout, concatenated(seen, control.features), state.readout);
    readout.outputs.forEach((value, u) => { sums[u] += value; });
  }
  if (machine.projection) add_product(sums, concatenated(...reads), machine.projection.kernel);
  return {
    heads, seen, made: control.made, before: state.memory,
    state: {
      output: Float32Array.from(sums, ACTIVATIONS[cell.activation]),
      memory,
      weightings: heads.map((head) => head.weights),
      reads,
      controller: control.states,
      readout: readout.states,
    },
  };
}

// ---- what a person does to it ------------------------------------------------------------------

// The state after a step with what was done to it there. A copy: the trace keeps the original.
function disturbed(state, edits, m_depth) {
  const memory = state.memory.slice(), weightings = [...state.weightings];
  for (const { kind, head, by, row, column } of edits) {
    if (kind === "move") {
      const old = weightings[head], rows = old.length;
      weightings[head] = old.map((_, i) => old[(i - by + rows * Math.abs(by)) % rows]);
    } else if (kind === "blank") {
      memory.fill(0, row * m_depth, (row + 1) * m_depth);
    } else if (kind === "flip") {
      memory[row * m_depth + column] *= -1;
    }
  }
  return { ...state, memory, weightings };
}

// All steps of a sequence: inputs (T, input_dim), and what is done to the machine at which step.
// `kept`: the first steps, where they are known already.
function run(machine, inputs, n_width = machine.cell.n_width, edits = [], kept = []) {
  let state = kept.length ? kept.at(-1).state : get_initial_state(machine, n_width);
  const steps = [...kept], gates = {};
  inputs.forEach((input, time) => {
    const now = edits.filter((edit) => edit.time === time);
    if (time >= kept.length) {
      const done = step(machine, input, state, gates);
      done.state = now.length ? disturbed(done.state, now, machine.cell.m_depth) : done.state;
      done.probabilities = Float32Array.from(done.state.output, ACTIVATIONS[machine.activation]);
      state = done.state;
      steps.push(done);
    }
    for (const { kind, head, gate } of now) {
      if (kind === "freeze") gates[head] = gate;
      if (kind === "release") delete gates[head];
    }
  });
  return steps;
}

// The machine of the page's data, its weights as arrays out of one base64 text of float32.
function decoded(data, base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const numbers = new Float32Array(bytes.buffer);
  const arrays = (stage) => stage && Object.fromEntries(Object.entries(stage).map(([name, value]) =>
    [name, value && value.size !== undefined
      ? numbers.subarray(value.start, value.start + value.size) : value]));
  return {
    ...data,
    controller: data.controller.map(arrays),
    readout: data.readout.map(arrays),
    projection: arrays(data.projection),
  };
}
