"""What is random in training: drawn before the loop, taken apart at each of its steps."""

import itertools
from typing import Any, NamedTuple

import keras
from keras import ops


def normal(shape, seed, dtype):
    """Standard normal numbers.

    Args:
        shape: of the result.
        seed: a `keras.random.SeedGenerator`, which moves on.
        dtype: of the result.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.random.normal(shape, dtype=dtype, seed=seed)
    import tensorflow as tf

    # Keras leaves the algorithm to TensorFlow, which in XLA on a CPU takes one that is 30 times as
    # slow (docs/performance.md).
    return tf.random.stateless_normal(shape, seed.next(), dtype=dtype, alg="philox")


def draw(cell, sequences, states, clutter_scale=1.0):
    """Inputs and first states of training, with what is random.

    Drawn for all steps at once, a third of the cost of one by one, and the same in the backward
    pass, which computes steps again.

    Args:
        cell: the `NTMCell` whose perturbation it is.
        sequences: (B, T, input_dim).
        states: the states before the first step.
        clutter_scale: multiplies the deviation of the memory's clutter, a number or scalar tensor.

    Returns:
        `(sequences, states)`: beside the inputs, what each step adds to the read vectors and to
        the controller's state; the memory with its noise.
    """
    batch, steps = ops.shape(sequences)[:2]
    noise, seed, dtype = cell.perturbation, cell.seed_generator, cell.compute_dtype
    if noise.memory_noise or noise.memory_clutter:
        memory = ops.reshape(states[1], (-1, cell.m_depth, cell.n_width))
        memory = _on_memory(cell, memory, batch, clutter_scale)
        states = [states[0], ops.reshape(memory, ops.shape(states[1])), *states[2:]]
    reads, leaks, drifts, state = _sizes(cell)
    beside = []
    if reads:
        beside.append(cell.number("read_noise") * normal((batch, steps, reads), seed, dtype))
    leak, drift = cell.number("weighting_leak"), cell.number("weighting_drift")
    for size, least, most in ((leaks, 0.0, leak), (drifts, -drift, drift)):
        if size:
            shares = keras.random.uniform((batch, 1, size), least, most, dtype, seed)
            beside.append(ops.tile(shares, (1, steps, 1)))
    if state:
        pushes = cell.number("state_noise") * normal((batch, steps, state), seed, dtype)
        if noise.state_drift:
            drift = cell.number("state_drift")
            pushes = pushes + drift * normal((batch, 1, state), seed, dtype)
        beside.append(pushes)
    if beside:
        sequences = ops.concatenate([ops.cast(sequences, dtype), *beside], axis=-1)
    return sequences, states


def _on_memory(cell, memory, batch, clutter_scale):
    """The memory (B, M, N) that a sequence begins with, with its noise."""
    noise, seed = cell.perturbation, cell.seed_generator
    columns, dtype = memory.shape[1], memory.dtype
    if noise.memory_noise:
        memory = memory + cell.number("memory_noise") * normal((batch, columns, 1), seed, dtype)
    if noise.memory_clutter:
        one = ops.abs(normal((batch, 1, 1), seed, dtype))
        size = cell.number("memory_clutter") * clutter_scale * one
        memory = memory + size * normal((batch, *memory.shape[1:]), seed, dtype)
    return memory


def with_width(inputs, width):
    """Inputs (..., None) of which a width is known only when they run; another fails there."""
    return ops.reshape(inputs, (*ops.shape(inputs)[:-1], width))


class Drawn(NamedTuple):
    """What `draw` put beside one step's inputs; no column where nothing was drawn.

    Attributes:
        reads: (B, R * M) or (B, 0), added to the read vectors that the controller sees.
        leaks: (B, R + W) or (B, 0), shares of the heads' weightings that are spread over all rows.
        drifts: (B, R + W) or (B, 0), shares of them that are moved by a row, back if negative.
        states: (B, size) or (B, 0), added to the controller's state.
    """

    reads: Any
    leaks: Any
    drifts: Any
    states: Any


def split_noise(cell, inputs):
    """One step's inputs (B, input_dim), and the `Drawn`, empty in another recurrent layer."""
    ends = list(itertools.accumulate(_sizes(cell), initial=cell.input_dim))
    width = inputs.shape[-1]
    if width is None:
        inputs = with_width(inputs, cell.input_dim)
    elif width not in (ends[0], ends[-1]):
        raise ValueError(
            f"{cell.name!r} was built for inputs of width {cell.input_dim}, but was given {width}: "
            "a machine takes as many features as its first input had"
        )
    parts = [inputs[:, start:end] for start, end in itertools.pairwise(ends)]
    return inputs[:, : cell.input_dim], Drawn(*parts)


def perturb(weightings, drawn):
    """Weightings (B, H, N) with what leaks out of them and what drifts, as a `Drawn` has it."""
    # No gradient of what is drawn is needed, and its sums over the rows would take time.
    leaks, drifts = (ops.stop_gradient(part)[..., None] for part in (drawn.leaks, drawn.drifts))
    if drawn.leaks.shape[-1]:
        weightings = weightings + leaks * (1 / weightings.shape[-1] - weightings)
    if drawn.drifts.shape[-1]:
        ahead, behind = (ops.roll(weightings, offset, axis=-1) for offset in (1, -1))
        weightings = weightings + ops.where(
            drifts > 0, drifts * (ahead - weightings), drifts * (weightings - behind)
        )
    return weightings


def _sizes(cell):
    """Numbers drawn for each step of a sequence, in the order of `Drawn`."""
    heads, noise = cell.read_heads + cell.write_heads, cell.perturbation
    return (
        cell.read_heads * cell.m_depth if noise.read_noise else 0,
        heads if noise.weighting_leak else 0,
        heads if noise.weighting_drift else 0,
        sum(cell.controller.noise_sizes) if noise.state_noise or noise.state_drift else 0,
    )
