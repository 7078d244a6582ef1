"""A batch of sequences, and how its arrays are laid out in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
BoolArray = NDArray[np.bool_]
# The sizes (B,) of each sequence, by name.
Sizes = Mapping[str, IntArray]


class Batch(NamedTuple):
    """B sequences padded to T steps; everything is zero on the padding.

    inputs: (B, T, input_dim) float32.
    targets: (B, T, output_dim) float32, bits.
    loss_mask: (B, T, output_dim) float32, 1 where a target bit counts, else 0.
    mask: (B, T) bool, True on the steps of a sequence, False on the padding after it.
    optimum: (B,) float, bits a sequence of the best possible predictor, or None where that is 0 or
        the sequences are to be trained on.
    """

    inputs: FloatArray
    targets: FloatArray
    loss_mask: FloatArray
    mask: BoolArray
    optimum: FloatArray | None

    def part(self, which: slice) -> Batch:
        """Some of the sequences."""
        optimum = None if self.optimum is None else self.optimum[which]
        arrays = self.inputs[which], self.targets[which], self.loss_mask[which], self.mask[which]
        return Batch(*arrays, optimum)


def random_bits(rng: Generator, shape: tuple[int, ...]) -> FloatArray:
    """Fair bits of the given shape, float32."""
    return rng.integers(0, 2, size=shape, dtype=np.uint8).astype(np.float32)


def phase(starts: IntArray, counts: IntArray, steps: int) -> tuple[IntArray, BoolArray]:
    """One phase of each sequence: `counts` (B,) steps from step `starts` (B,) on.

    Returns the position within the phase (B, steps), 0 outside of it, and where the phase is on
    (B, steps).
    """
    position = np.arange(steps) - np.reshape(starts, (-1, 1))
    on = (position >= 0) & (position < np.reshape(counts, (-1, 1)))
    return np.where(on, position, 0), on


def lay_out(vectors: FloatArray, position: IntArray, on: BoolArray) -> FloatArray:
    """Lay vectors out in time: (B, steps, channels).

    Each step of each sequence has the one of `vectors` (B, count, channels) that `position`
    (B, steps) names where `on` (B, steps), and 0 elsewhere.
    """
    # Whole vectors at a time: faster than `take_along_axis`, which gathers single numbers.
    return vectors[np.arange(len(vectors))[:, None], position] * on[..., None]
