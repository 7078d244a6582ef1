// The sequences of tasks/, for one person to make: what is in one (`content`), and how it is written.
//
// `encode` gives inputs, targets and loss_mask as tasks/*.py do, a phrase for every step, and `places`:
// which number of the content an input square shows, as [list, index, index].

// Numbers from 0 to 1 that a seed repeats (mulberry32).
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const random_bits = (random, count, bits) =>
  Array.from({ length: count }, () => Array.from({ length: bits }, () => (random() < 0.5 ? 0 : 1)));

// Text as vectors of so many bits, its UTF-8 bytes one after another, the highest bit first.
function text_vectors(text, bits) {
  const stream = [...new TextEncoder().encode(text)].flatMap((byte) =>
    Array.from({ length: 8 }, (_, k) => (byte >> (7 - k)) & 1));
  while (stream.length % bits) stream.push(0);
  return Array.from({ length: stream.length / bits }, (_, v) => stream.slice(v * bits, (v + 1) * bits));
}

// The text that vectors of bits say, with a dot for what is no letter.
function vectors_text(vectors) {
  const stream = vectors.flat(), bytes = [];
  for (let k = 0; k + 8 <= stream.length; k += 8) {
    bytes.push(stream.slice(k, k + 8).reduce((byte, bit) => 2 * byte + bit, 0));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes)).replace(/[\u0000-\u001f\ufffd]/g, "\u00b7");
}

// An empty sequence of so many steps.
function blank(task, steps, input_dim, output_dim) {
  const zeros = (width) => Array.from({ length: steps }, () => new Float32Array(width));
  return {
    inputs: zeros(input_dim), targets: zeros(output_dim), loss_mask: zeros(output_dim),
    phrases: Array(steps).fill(""), flags: [], places: new Map(),
  };
}

function show_vector(sequence, time, vector, list, index) {
  vector.forEach((bit, channel) => {
    sequence.inputs[time][channel] = bit;
    sequence.places.set(`${time},${channel}`, [list, index, channel]);
  });
}

function ask_for(sequence, time, vector) {
  sequence.targets[time].set(vector);
  sequence.loss_mask[time].fill(1, 0, vector.length);
}

function flag(sequence, time, channel, phrase) {
  sequence.inputs[time][channel] = 1;
  sequence.flags.push(time);
  sequence.phrases[time] = phrase;
}

const fitted = (vectors, count, random, bits) =>
  [...vectors.slice(0, count), ...random_bits(random, Math.max(0, count - vectors.length), bits)];

const TASKS = {
  copy: {
    title: "Copy: see a sequence once, then give it back",
    idea: "It is shown vectors of bits, one a step. After the end flag nothing comes in any more, and it has to give all of them back from memory.",
    channels: (task) => [...bit_names(task), "start", "end"],
    outputs: (task) => bit_names(task),
    sizes: (task) => ({ length: { name: "Length", least: 1, most: 200, first: Math.min(10, task.max_length) } }),
    draw: (task, sizes, random) => ({ vectors: random_bits(random, sizes.length, task.bits) }),
    typed: (task, text, sizes) => {
      const vectors = text_vectors(text, task.bits);
      return { sizes: { ...sizes, length: vectors.length }, content: { vectors } };
    },
    encode: (task, { vectors }) => {
      const { bits } = task, length = vectors.length;
      const sequence = blank(task, 2 * length + 2, bits + 2, bits);
      flag(sequence, 0, bits, "The start flag: a sequence begins");
      vectors.forEach((vector, v) => {
        show_vector(sequence, 1 + v, vector, "vectors", v);
        sequence.phrases[1 + v] = `Vector ${v + 1} of ${length} comes in`;
        ask_for(sequence, length + 2 + v, vector);
        sequence.phrases[length + 2 + v] = `Vector ${v + 1} of ${length} has to come out`;
      });
      flag(sequence, length + 1, bits + 1, "The end flag: give it back from here on");
      return sequence;
    },
  },

  repeat_copy: {
    title: "Repeat copy: give it back as often as told",
    idea: "It is shown vectors of bits, then a number. It has to give the vectors back that many times, and then say that it is done.",
    channels: (task) => [...bit_names(task), "start", "end", "count"],
    outputs: (task) => [...bit_names(task), "done"],
    sizes: (task) => ({
      length: { name: "Length", least: 1, most: 100, first: Math.min(5, task.max_length) },
      repeats: { name: "Repeats", least: 1, most: 40, first: Math.min(3, task.max_repeats) },
    }),
    draw: (task, sizes, random) => ({
      vectors: random_bits(random, sizes.length, task.bits), repeats: sizes.repeats,
    }),
    typed: (task, text, sizes) => {
      const vectors = text_vectors(text, task.bits);
      return { sizes: { ...sizes, length: vectors.length }, content: { vectors, repeats: sizes.repeats } };
    },
    encode: (task, { vectors, repeats }) => {
      const { bits } = task, length = vectors.length;
      const sequence = blank(task, length * (repeats + 1) + 3, bits + 3, bits + 1);
      flag(sequence, 0, bits, "The start flag: a sequence begins");
      vectors.forEach((vector, v) => {
        show_vector(sequence, 1 + v, vector, "vectors", v);
        sequence.phrases[1 + v] = `Vector ${v + 1} of ${length} comes in`;
      });
      flag(sequence, length + 1, bits + 1, `The end flag, with the count: ${repeats} times from here on`);
      sequence.inputs[length + 1][bits + 2] = normalise(task, repeats);
      for (let k = 0; k < length * repeats; k++) {
        const time = length + 2 + k;
        ask_for(sequence, time, vectors[k % length]);
        sequence.loss_mask[time][bits] = 1;
        sequence.phrases[time] = `Vector ${(k % length) + 1} has to come out, time ${Math.floor(k / length) + 1} of ${repeats}`;
      }
      const last = sequence.inputs.length - 1;
      sequence.targets[last][bits] = sequence.loss_mask[last][bits] = 1;
      sequence.phrases[last] = "It has to say that it is done";
      return sequence;
    },
  },

  associative_recall: {
    title: "Associative recall: what came after this one?",
    idea: "It is shown items of a few vectors each. Then one of them is shown again, and it has to give back the item that had followed it.",
    channels: (task) => [...bit_names(task), "item", "query"],
    outputs: (task) => bit_names(task),
    sizes: (task) => ({
      items: { name: "Items", least: 2, most: 40, first: Math.min(5, task.max_items) },
      asked: { name: "Item asked for", least: 1, most: 39, first: 2 },
    }),
    draw: (task, sizes, random) => ({
      vectors: random_bits(random, sizes.items * task.item_length, task.bits),
      asked: sizes.asked - 1,
    }),
    typed: (task, text, sizes, random) => {
      const vectors = text_vectors(text, task.bits);
      const items = Math.max(2, Math.ceil(vectors.length / task.item_length));
      const asked = Math.min(sizes.asked, items - 1);
      return {
        sizes: { items, asked },
        content: { vectors: fitted(vectors, items * task.item_length, random, task.bits), asked: asked - 1 },
      };
    },
    encode: (task, { vectors, asked }) => {
      const { bits, item_length: long } = task, items = vectors.length / long;
      const sequence = blank(task, (items + 2) * (long + 1), bits + 2, bits), query = items * (long + 1);
      vectors.forEach((vector, v) => {
        const item = Math.floor(v / long), time = item * (long + 1) + 1 + (v % long);
        if (v % long === 0) flag(sequence, time - 1, bits, `The item flag: item ${item + 1} of ${items} begins`);
        show_vector(sequence, time, vector, "vectors", v);
        sequence.phrases[time] = `Item ${item + 1}, vector ${(v % long) + 1} of ${long} comes in`;
      });
      flag(sequence, query, bits + 1, "The query flag: which item followed the one that comes now?");
      flag(sequence, query + long + 1, bits + 1, `The query ends: item ${asked + 2} has to come out`);
      for (let k = 0; k < long; k++) {
        show_vector(sequence, query + 1 + k, vectors[asked * long + k], "vectors", asked * long + k);
        sequence.phrases[query + 1 + k] = `Item ${asked + 1} is shown again, vector ${k + 1} of ${long}`;
        ask_for(sequence, query + long + 2 + k, vectors[(asked + 1) * long + k]);
        sequence.phrases[query + long + 2 + k] = `Item ${asked + 2}, vector ${k + 1} of ${long} has to come out`;
      }
      return sequence;
    },
  },

  ngrams: {
    title: "Dynamic n-grams: learn a sequence's habits while it runs",
    idea: "Bits come in one by one from a source that nobody has described. Before each bit it has to say how likely a 1 is, from what followed the same few bits earlier.",
    guesses: true,
    channels: () => ["last bit"],
    outputs: () => ["next bit"],
    sizes: (task) => ({ length: { name: "Length", least: task.context + 1, most: 400, first: Math.min(100, task.max_length) } }),
    draw: (task, sizes, random) => {
      const table = Array.from({ length: 2 ** task.context }, () => Math.sin(random() * Math.PI / 2) ** 2);
      const bits = [];
      for (let t = 0; t < sizes.length; t++) {
        const likely = t < task.context ? 0.5 : table[context_number(bits, task.context)];
        bits.push([random() < likely ? 1 : 0]);
      }
      return { bits };
    },
    typed: (task, text, sizes) => {
      const bits = text_vectors(text, 1);
      while (bits.length <= task.context) bits.push([0]);
      return { sizes: { length: bits.length }, content: { bits } };
    },
    encode: (task, { bits }) => {
      const sequence = blank(task, bits.length, 1, 1);
      bits.forEach((bit, t) => {
        ask_for(sequence, t, bit);
        sequence.phrases[t] = `Bit ${t + 1} of ${bits.length} has to be guessed`;
        if (t) show_vector(sequence, t, bits[t - 1], "bits", t - 1);
      });
      sequence.optimal = optimal_probabilities(bits, task.context);
      return sequence;
    },
  },

  priority_sort: {
    title: "Priority sort: give them back, highest priority first",
    idea: "It is shown vectors of bits, each with a priority, in no order. Then it has to give back those of the highest priorities, from the highest down.",
    channels: (task) => [...bit_names(task), "priority", "end"],
    outputs: (task) => bit_names(task),
    sizes: (task) => ({ items: { name: "Items", least: 1, most: 60, first: Math.min(12, task.max_items) } }),
    draw: (task, sizes, random) => ({
      vectors: random_bits(random, sizes.items, task.bits),
      priorities: Array.from({ length: sizes.items }, () => [2 * random() - 1]),
    }),
    typed: (task, text, sizes, random) => {
      const vectors = text_vectors(text, task.bits);
      return {
        sizes: { items: vectors.length },
        content: { vectors, priorities: vectors.map(() => [2 * random() - 1]) },
      };
    },
    encode: (task, { vectors, priorities }) => {
      const { bits } = task, items = vectors.length, recalled = Math.min(items, task.targets);
      const sequence = blank(task, items + recalled + 1, bits + 2, bits);
      vectors.forEach((vector, v) => {
        show_vector(sequence, v, vector, "vectors", v);
        sequence.inputs[v][bits] = priorities[v][0];
        sequence.places.set(`${v},${bits}`, ["priorities", v, 0]);
        sequence.phrases[v] = `Vector ${v + 1} of ${items} comes in, of priority ${fixed(priorities[v][0])}`;
      });
      flag(sequence, items, bits + 1, "The end flag: give them back in order from here on");
      const order = [...vectors.keys()].sort((a, b) => priorities[b][0] - priorities[a][0]);
      order.slice(0, recalled).forEach((v, place) => {
        ask_for(sequence, items + 1 + place, vectors[v]);
        sequence.phrases[items + 1 + place] =
          `Number ${place + 1} has to come out: vector ${v + 1}, of priority ${fixed(priorities[v][0])}`;
      });
      return sequence;
    },
  },
};

// A task that the page does not know: any bits in, and nothing to compare what comes out with.
const OTHER_TASK = {
  title: "A machine with a memory of its own",
  idea: "This page does not know how the machine's task is written, so it gives it any bits that you draw, and has no right answer to compare with.",
  channels: (task) => Array.from({ length: task.input_dim }, (_, k) => `input ${k + 1}`),
  outputs: (task) => Array.from({ length: task.output_dim }, (_, k) => `output ${k + 1}`),
  sizes: () => ({ length: { name: "Length", least: 1, most: 400, first: 20 } }),
  draw: (task, sizes, random) => ({ vectors: random_bits(random, sizes.length, task.input_dim) }),
  typed: (task, text) => {
    const vectors = text_vectors(text, task.input_dim);
    return { sizes: { length: vectors.length }, content: { vectors } };
  },
  encode: (task, { vectors }) => {
    const sequence = blank(task, vectors.length, task.input_dim, task.output_dim);
    vectors.forEach((vector, v) => {
      show_vector(sequence, v, vector, "vectors", v);
      sequence.phrases[v] = `Vector ${v + 1} of ${vectors.length} comes in`;
    });
    return sequence;
  },
};

const bit_names = (task) => Array.from({ length: task.bits }, (_, k) => `bit ${k + 1}`);

function normalise({ min_repeats, max_repeats }, repeats) {
  const counts = max_repeats - min_repeats + 1;
  return (repeats - (min_repeats + max_repeats) / 2) / (counts > 1 ? Math.sqrt((counts ** 2 - 1) / 12) : 1);
}

const context_number = (bits, context) =>
  bits.slice(bits.length - context).reduce((number, [bit]) => 2 * number + bit, 0);

// The best possible guess: (ones that followed this context + 1/2) / (all that did + 1).
function optimal_probabilities(bits, context) {
  const seen = new Map();
  return bits.map(([bit], t) => {
    if (t < context) return 0.5;
    const before = context_number(bits.slice(0, t), context), [ones, all] = seen.get(before) ?? [0, 0];
    seen.set(before, [ones + bit, all + 1]);
    return (ones + 0.5) / (all + 1);
  });
}

const wrong_bit = (sequence, steps, time, channel) =>
  sequence.loss_mask[time][channel] > 0 &&
  (steps[time].probabilities[channel] > 0.5) !== (sequence.targets[time][channel] > 0.5);

// Bits that count, those that are wrong, and what the targets cost in bits, up to a step.
function score(sequence, steps, last = steps.length - 1) {
  let bits = 0, wrong = 0, cost = 0, optimum = 0;
  const price = (likely, target) => -Math.log2(Math.min(Math.max(target > 0.5 ? likely : 1 - likely, 1e-7), 1));
  for (let time = 0; time <= last; time++) {
    sequence.loss_mask[time].forEach((weight, channel) => {
      if (!weight) return;
      const target = sequence.targets[time][channel];
      bits += 1;
      wrong += wrong_bit(sequence, steps, time, channel);
      cost += price(steps[time].probabilities[channel], target);
      if (sequence.optimal) optimum += price(sequence.optimal[time], target);
    });
  }
  return { bits, wrong, cost, optimum };
}
