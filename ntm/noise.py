"""What is random in training: drawn before the loop, taken apart at each of its steps."""

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


def draw(cell, sequences, states):
    """Inputs and first states of training, with what is random.

    Drawn for all steps at once, a third of the cost of one by one, and the same in the backward
    pass, which computes steps again.

    Args:
        cell: the `NTMCell` whose deviations count.
        sequences: (B, T, input_dim).
        states: the states before the first step.

    Returns:
        `(sequences, states)`: beside the inputs, what each step adds to the read vectors and to
        the controller's state; the memory with its noise.
    """
    batch, steps = ops.shape(sequences)[:2]
    seed, dtype = cell.seed_generator, cell.compute_dtype
    if cell.memory_noise:
        moved = cell.memory_noise * normal((batch, cell.m_depth, 1), seed, dtype)
        columns = ops.reshape(states[1], (-1, cell.m_depth, cell.n_width)) + moved
        states = [states[0], ops.reshape(columns, ops.shape(states[1])), *states[2:]]
    beside = []
    if cell.read_noise:
        beside.append(cell.read_noise * normal((batch, steps, _read_size(cell)), seed, dtype))
    size = sum(cell.controller.noise_sizes)
    if size and (cell.state_noise or cell.state_drift):
        noise = cell.state_noise * normal((batch, steps, size), seed, dtype)
        if cell.state_drift:
            noise = noise + cell.state_drift * normal((batch, 1, size), seed, dtype)
        beside.append(noise)
    if beside:
        sequences = ops.concatenate([ops.cast(sequences, dtype), *beside], axis=-1)
    return sequences, states


def separate(cell, inputs):
    """One step's inputs (B, input_dim), and what `draw` added for reads and for states.

    Both of the latter have no column where nothing was drawn, as in another recurrent layer.
    """
    inputs, beside = inputs[:, : cell.input_dim], inputs[:, cell.input_dim :]
    size = _read_size(cell) if cell.read_noise and beside.shape[-1] else 0
    return inputs, beside[:, :size], beside[:, size:]


def _read_size(cell):
    return cell.read_heads * cell.m_depth
