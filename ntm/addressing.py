"""How a head chooses its rows: equations 5 to 9 of Graves, Wayne and Danihelka (2014).

Pure functions of activated values. B is the batch, N the memory rows, M the width of a row,
H the heads, S the allowed shifts. All heads are addressed in one batch.
"""

from keras import ops

# Added to squared lengths. A vector shorter than about 1e-3 counts as having no direction, which
# bounds the gradient of the similarity where memory is (almost) empty.
SQUARED_LENGTH_FLOOR = 1e-6
# Added to a weighting before its logarithm; below what a float32 weighting that sums to one
# resolves.
WEIGHT_FLOOR = 1e-12


def softmax(values):
    """Over the last axis, also where it has one entry, for which Keras would warn."""
    return ops.softmax(values, axis=-1) if values.shape[-1] > 1 else ops.ones_like(values)


def content_weighting(memory, key, strength):
    """Weighting by similarity to a key (equations 5 and 6).

    `softmax over i of strength * cosine(key, memory[i])`.

    Args:
        memory: (B, N, M).
        key: (B, H, M), the paper's k.
        strength: (B, H, 1), the paper's beta, at least 0.

    Returns:
        (B, H, N), each row sums to one. A zero key or a zero memory row has similarity 0.
    """
    products = ops.matmul(key, ops.swapaxes(memory, 1, 2))
    similarity = products * _inverse_length(key)[:, :, None] * _inverse_length(memory)[:, None, :]
    return softmax(strength * similarity)


def _inverse_length(vectors):
    return ops.rsqrt(ops.sum(ops.square(vectors), axis=-1) + SQUARED_LENGTH_FLOOR)


def interpolate(content, previous, gate):
    """Blend of the content weighting with the head's previous weighting (equation 7).

    Args:
        content: (B, H, N).
        previous: (B, H, N), the weighting of the step before.
        gate: (B, H, 1), the paper's g in [0, 1]; 1 keeps the content weighting alone.

    Returns:
        (B, H, N).
    """
    return previous + gate * (content - previous)


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
    offsets = shift_offsets(shift_weights.shape[-1])
    highest = offsets[-1]
    # wrapped[i] is the weighting at row i - highest, so a slice is a rotation.
    parts = [weights[..., rows - highest :]] if highest else []
    parts.append(weights)
    if offsets[0]:
        parts.append(weights[..., : -offsets[0]])
    wrapped = ops.concatenate(parts, axis=-1) if len(parts) > 1 else weights
    return sum(
        shift_weights[..., j : j + 1] * wrapped[..., highest - offset : highest - offset + rows]
        for j, offset in enumerate(offsets)
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
    return softmax(sharpness * ops.log(weights + WEIGHT_FLOOR))


def address(memory, previous, key, strength, gate, shift_weights, sharpness):
    """The whole chain, equations 5 to 9: content, gate, shift, sharpness.

    Args:
        memory: (B, N, M).
        previous: (B, H, N), the weightings of the step before.
        key: (B, H, M).
        strength: (B, H, 1).
        gate: (B, H, 1).
        shift_weights: (B, H, S).
        sharpness: (B, H, 1).

    Returns:
        (B, H, N), the weightings of this step.
    """
    content = content_weighting(memory, key, strength)
    gated = interpolate(content, previous, gate)
    return sharpen(shift(gated, shift_weights), sharpness)
