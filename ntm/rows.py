"""Sums over the memory rows, and their transpose, in the form that compilers make fast.

Memory rows lie side by side (the last axis), so that a processor's vector unit works on several
rows at once. A plain sum over that axis would go through them one by one.
"""

from keras import ops

# Partial sums kept side by side, a multiple of what a vector register holds.
LANES = 16
# XLA splits a longer reduction into passes over intermediate results.
LONGEST_REDUCTION = 32


def total(values):
    """Sum over the last axis, which stays with size 1. Its gradient is `spread`.

    Args:
        values: (..., N).

    Returns:
        (..., 1).
    """

    @ops.custom_gradient
    def summed(values):
        def gradient(*args, upstream=None):
            return spread(args[0] if upstream is None else upstream, values.shape[-1])

        return _sum(values), gradient

    return summed(values)


def spread(values, rows):
    """The same value for every row. Its gradient is `total`.

    Args:
        values: (..., 1).
        rows: N.

    Returns:
        (..., N).
    """

    @ops.custom_gradient
    def repeated(values):
        def gradient(*args, upstream=None):
            return total(args[0] if upstream is None else upstream)

        return ops.broadcast_to(values, (*ops.shape(values)[:-1], rows)), gradient

    return repeated(values)


def _sum(values):
    rows = values.shape[-1]
    lanes = max(LANES, rows // LONGEST_REDUCTION)
    if rows % lanes:
        return ops.sum(values, axis=-1, keepdims=True)
    parts = ops.reshape(values, (*ops.shape(values)[:-1], rows // lanes, lanes))
    return ops.matmul(ops.sum(parts, axis=-2), ops.ones((lanes, 1), dtype=values.dtype))
