"""Gradients that are clipped on their way back through time."""

from keras import ops

# Partial sums kept side by side, a multiple of what a vector register holds: a plain sum over the
# last axis would go through it number by number.
LANES = 16
# Added to a squared norm that is divided by.
TINY = 1e-30


def clip_gradient(states, clip_norm):
    """The same values; their gradient is shortened to a Euclidean norm of at most `clip_norm`.

    Each sequence for itself: one whose gradient explodes leaves the others as they are, which
    clipping the sum of a batch does not. A squared norm beyond what the type holds counts as
    infinite, and the gradient becomes zero.

    Args:
        states: (B, size).
        clip_norm: a positive number or scalar tensor, in units of the loss per unit of the states.

    Returns:
        (B, size).
    """

    @ops.custom_gradient
    def same(states):
        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            scale = clip_norm * ops.rsqrt(_squared_norm(upstream) + TINY)
            return upstream * ops.minimum(1.0, scale)

        return ops.copy(states), gradient

    return same(states)


def _squared_norm(values):
    size = values.shape[-1]
    lanes = LANES if size % LANES == 0 else 1
    # Squares after the reshape: XLA would write them down before one.
    parts = ops.square(ops.reshape(values, (-1, size // lanes, lanes)))
    return ops.sum(ops.sum(parts, axis=1), axis=-1, keepdims=True)
