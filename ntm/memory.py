"""Reading and writing: equations 2 to 4 of Graves, Wayne and Danihelka (2014).

B is the batch, N the memory rows, M the width of a row, H the heads.
"""

from keras import ops

from ntm.rows import spread, total


def read(memory, weights):
    """The rows of memory, averaged by a weighting (equation 2).

    Args:
        memory: (B, N, M).
        weights: (B, H, N).

    Returns:
        (B, H, M), one read vector a head.
    """
    columns = ops.swapaxes(memory, 1, 2)
    return total(columns[:, None] * weights[:, :, None])[..., 0]


def write(memory, weights, erase, add):
    """Memory after every head has erased, then every head has added (equations 3 and 4).

    Args:
        memory: (B, N, M).
        weights: (B, H, N).
        erase: (B, H, M), each in [0, 1].
        add: (B, H, M).

    Returns:
        (B, N, M). The order of the heads does not matter.
    """
    kept, added = ops.swapaxes(memory, 1, 2), 0.0
    rows = kept.shape[-1]
    for head in range(weights.shape[1]):
        weight = weights[:, head, None, :]
        kept = kept * (1.0 - weight * spread(erase[:, head, :, None], rows))
        added = added + weight * spread(add[:, head, :, None], rows)
    return ops.swapaxes(kept + added, 1, 2)
