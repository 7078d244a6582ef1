"""How memory lies, and sums over its rows in the form that compilers make fast.

Everywhere inside of this package a memory is (B, M, N): its columns below each other, its rows side
by side in the last axis, so that a processor's vector unit works on several rows at once. In a
recurrent layer's list of states it is the same, flattened. The public functions of `ntm.addressing`
and `ntm.memory`, and `NeuralTuringMachine.trace`, have it as the paper does, (B, N, M); `turned`
leads from the one to the other and back.

A plain sum over the rows would go through them one by one.
"""

from keras import ops

# Partial sums kept side by side, a multiple of what a vector register holds.
LANES = 16
# XLA splits a longer reduction into passes over intermediate results.
LONGEST_REDUCTION = 32


def turned(memory):
    """Memory (B, N, M) as (B, M, N), or the other way round."""
    return ops.swapaxes(memory, 1, 2)


def sum_rows(values):
    """Sum over the last axis, which stays with size 1. Its gradient is `broadcast_rows`.

    Args:
        values: (..., N).

    Returns:
        (..., 1).
    """

    @ops.custom_gradient
    def summed(values):
        def gradient(*args, upstream=None):
            return broadcast_rows(args[0] if upstream is None else upstream, values.shape[-1])

        return _sum(values), gradient

    return summed(values)


def broadcast_rows(values, rows):
    """The same value for every row. Its gradient is `sum_rows`.

    Args:
        values: (..., 1).
        rows: N.

    Returns:
        (..., N).
    """

    @ops.custom_gradient
    def repeated(values):
        def gradient(*args, upstream=None):
            return sum_rows(args[0] if upstream is None else upstream)

        return ops.broadcast_to(values, (*ops.shape(values)[:-1], rows)), gradient

    return repeated(values)


def _sum(values):
    rows = values.shape[-1]
    lanes = max(LANES, rows // LONGEST_REDUCTION)
    if rows % lanes:
        return ops.sum(values, axis=-1, keepdims=True)
    parts = ops.reshape(values, (*ops.shape(values)[:-1], rows // lanes, lanes))
    return ops.matmul(ops.sum(parts, axis=-2), ops.ones((lanes, 1), dtype=values.dtype))
