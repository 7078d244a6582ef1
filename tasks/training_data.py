"""What training sequences show more of than chance would: vectors that are easily mistaken."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from tasks.batch import BoolArray, FloatArray

# Share of bits in which a near duplicate differs from what it is like.
FLIPPED = 1 / 16


def check_share(name: str, share: float) -> None:
    """Raise ValueError for a share of the training sequences that would leave none or less."""
    if not 0 <= share < 1:
        raise ValueError(f"task.{name}={share} must be a share from 0 to below 1")


def near_duplicates(
    rng: Generator, vectors: FloatArray, like: FloatArray, rate: float, kept: BoolArray
) -> FloatArray:
    """The vectors, a share of them replaced by what they are easily mistaken for.

    vectors: (B, count, bits); like: the same shape or one that it is broadcast from, what they are
        replaced by with one bit in sixteen flipped; rate: the share; kept: (B, count), or one that
        it is broadcast from, True for those that stay.
    Returns (B, count, bits), float32.
    """
    alike = np.abs(like - (rng.random(vectors.shape) < FLIPPED))
    chosen = (rng.random(vectors.shape[:2]) < rate) & ~kept
    return np.where(chosen[..., None], alike, vectors).astype(np.float32)
