"""The memory at first, reading and writing: equations 2 to 4 of Graves, Wayne and Danihelka (2014).

B is the batch, N the memory rows, M the width of a row, H the heads.
"""

import math

from keras import ops

from ntm.rows import broadcast_rows, sum_rows, turned

# Not nothing: a feed-forward controller that reads zeros from an empty row and sees a vector of
# zeros could not tell it from recall (docs/recipe.md).
INITIAL_MEMORY = 0.1
# Of the waves of which row codes are made: radians a row of the fastest, and how many times as fast
# it is as the slowest.
FASTEST_WAVE, WAVE_RANGE = 2.0, 50.0


def first_memory(n_width, m_depth, row_codes, dtype):
    """The memory that every sequence begins with.

    0.1 + row_codes * sin(r_k i + (j mod 2) pi / 2) in row i and column j, where k is floor(j / 2)
    and the rates r_k fall geometrically from 2 to 1 / 25 radians a row.

    Returns:
        (M, N), as memory lies inside of the machine (`ntm.rows`).
    """
    column = ops.arange(m_depth, dtype=dtype)[:, None]
    row = ops.arange(n_width, dtype=dtype)[None, :]
    wave = ops.floor(column / 2)
    slowest = max(1, (m_depth - 1) // 2)
    rate = FASTEST_WAVE * WAVE_RANGE ** (-wave / slowest)
    phase = (column - 2 * wave) * (math.pi / 2)
    return INITIAL_MEMORY + row_codes * ops.sin(rate * row + phase)


def read(memory, weights):
    """The rows of memory, averaged by a weighting (equation 2).

    Args:
        memory: (B, N, M).
        weights: (B, H, N).

    Returns:
        (B, H, M), one read vector a head.
    """
    return read_columns(turned(memory), weights)


def read_columns(columns, weights):
    """`read` of a memory (B, M, N) as it lies inside of the machine."""
    return sum_rows(columns[:, None] * weights[:, :, None])[..., 0]


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
    return turned(write_columns(turned(memory), weights, erase, add))


def write_columns(columns, weights, erase, add):
    """`write` to a memory (B, M, N) as it lies inside of the machine; returns it so."""
    kept, added = columns, 0.0
    rows = kept.shape[-1]
    for head in range(weights.shape[1]):
        weight = weights[:, head, None, :]
        kept = kept * (1.0 - weight * broadcast_rows(erase[:, head, :, None], rows))
        added = added + weight * broadcast_rows(add[:, head, :, None], rows)
    return kept + added
