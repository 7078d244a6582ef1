"""How a head chooses its rows: equations 5 to 9 of Graves, Wayne and Danihelka (2014).

Pure functions of activated values. B is the batch, N the memory rows, M the width of a row,
H the heads, S the allowed shifts. All heads are addressed in one batch.
"""

from keras import ops

from ntm.rows import broadcast_rows, sum_rows, turned

# A shorter vector counts as this long in the cosine of equation 6, which bounds the gradient of the
# similarity: for the equation by itself by as much as keeps it finite, in the machine by more.
# Rows that only the tails of weightings have touched are short. With a smaller bound, the cosine
# takes their directions as seriously as those of written rows, and gradients through them explode:
# solved machines were lost again (docs/recipe.md).
SHORTEST, SHORTEST_IN_MACHINE = 1e-3, 0.5
# Added to a weighting before its logarithm; below what a float32 weighting that sums to one
# resolves.
WEIGHT_FLOOR = 1e-12


def content_weighting(memory, key, strength, shortest=SHORTEST):
    """Weighting by similarity to a key (equations 5 and 6).

    `softmax over i of strength * cosine(key, memory[i])`, where a vector shorter than `shortest`
    is divided by `shortest` instead of its length: an almost empty row is similar to nothing.

    Args:
        memory: (B, N, M).
        key: (B, H, M), the paper's k.
        strength: (B, H, 1), the paper's beta, at least 0.
        shortest: a positive length.

    Returns:
        (B, H, N), each row sums to one. A zero key or a zero memory row has similarity 0.
    """
    return _by_content(turned(memory), key, strength, shortest)


def _by_content(columns, key, strength, shortest):
    # A tensor of its own: the gradients of its two uses are summed before those of reading and of
    # writing are added. The last bit of what a seed gives depends on that order.
    columns = ops.copy(columns)
    rows = columns.shape[-1]
    products = ops.sum(columns[:, None] * broadcast_rows(key[..., None], rows), axis=2)
    scale = strength / _length(key, -1, shortest)
    return softmax(products / _length(columns, 1, shortest)[:, None] * broadcast_rows(scale, rows))


def _length(vectors, axis, shortest):
    # A division by it ends up last in its gradient too, which keeps XLA from computing that
    # gradient once more for each column of the memory.
    squared = ops.sum(ops.square(vectors), axis=axis, keepdims=axis == -1)
    return ops.sqrt(ops.maximum(squared, shortest * shortest))


def softmax(values):
    """Softmax over the last axis, the memory rows."""
    if 0 in values.shape:
        return values  # An empty batch, of which Keras refuses to take a maximum.
    highest = ops.stop_gradient(ops.max(values, axis=-1, keepdims=True))
    powers = ops.exp(values - highest)
    return powers / broadcast_rows(sum_rows(powers), values.shape[-1])


def interpolate(content, previous, gate):
    """Blend of the content weighting with the head's previous weighting (equation 7).

    Args:
        content: (B, H, N).
        previous: (B, H, N), the weighting of the step before.
        gate: (B, H, 1), the paper's g in [0, 1]; 1 keeps the content weighting alone.

    Returns:
        (B, H, N).
    """
    return previous + broadcast_rows(gate, previous.shape[-1]) * (content - previous)


def shift_offsets(shift_range):
    """The row offsets that the entries of a shift weighting stand for, lowest first.

    An odd range is symmetric (3: -1, 0, +1). An even range has its extra offset at the positive
    end (2: 0, +1; 4: -1, 0, +1, +2).
    """
    lowest = -((shift_range - 1) // 2)
    return range(lowest, lowest + shift_range)


def shift(weights, shift_weights):
    """Circular convolution of a weighting with a shift weighting (equation 8).

    Args:
        weights: (B, H, N).
        shift_weights: (B, H, S), the paper's s, sums to one; entry j moves the focus by
            `shift_offsets(S)[j]` rows, circularly.

    Returns:
        (B, H, N).
    """
    rows = weights.shape[-1]
    return sum(
        broadcast_rows(shift_weights[..., j : j + 1], rows) * ops.roll(weights, offset, axis=-1)
        for j, offset in enumerate(shift_offsets(shift_weights.shape[-1]))
    )


def sharpen(weights, sharpness):
    """Each weight to the power of the sharpness, renormalised (equation 9).

    Computed as a softmax of logarithms, which neither overflows nor divides by zero however large
    the sharpness.

    Args:
        weights: (B, H, N), not negative.
        sharpness: (B, H, 1), the paper's gamma, at least 1.

    Returns:
        (B, H, N), each row sums to one.
    """
    return softmax(broadcast_rows(sharpness, weights.shape[-1]) * ops.log(weights + WEIGHT_FLOOR))


def address(memory, previous, key, strength, gate, shift_weights, sharpness, shortest=SHORTEST):
    """The whole chain, equations 5 to 9: content, gate, shift, sharpness.

    Args:
        memory: (B, N, M).
        previous: (B, H, N), the weightings of the step before.
        key: (B, H, M).
        strength: (B, H, 1).
        gate: (B, H, 1).
        shift_weights: (B, H, S).
        sharpness: (B, H, 1).
        shortest: see `content_weighting`.

    Returns:
        (B, H, N), the weightings of this step.
    """
    of_heads = (key, strength, gate, shift_weights, sharpness)
    return address_columns(turned(memory), previous, *of_heads, shortest)


def address_columns(
    columns, previous, key, strength, gate, shift_weights, sharpness, shortest=SHORTEST_IN_MACHINE
):
    """`address` of a memory (B, M, N) as it lies inside of the machine, with its bound."""
    content = _by_content(columns, key, strength, shortest)
    gated = interpolate(content, previous, gate)
    return sharpen(shift(gated, shift_weights), sharpness)
