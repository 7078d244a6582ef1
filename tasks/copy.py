"""The copy task: repeat a sequence of random vectors (section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.batch import Batch, IntArray, Sizes, lay_out, phase
from tasks.copying import CopyTask


@dataclass(kw_only=True)
class Copy(CopyTask):
    """Copy `length` random vectors of `bits` bits.

    Time line for length L, 2L + 2 steps:

        step              0       1 .. L     L + 1   L + 2 .. 2L + 1
        input [:bits]     0       vectors    0       0
        input [bits]      1       0          0       0
        input [bits + 1]  0       0          1       0
        target, weight 1  -       -          -       vectors

    The start flag is the seed's: the paper has the delimiter at the end only.

    bits: width of a vector. min_length, max_length: training range of L.
    Solved: no wrong bit in any sequence at `max_length`.
    """

    case_keys: ClassVar[tuple[str, ...]] = ("length",)
    standard_cases: ClassVar[tuple[str, ...]] = (
        "length=5",
        "length=10",
        "length=20",
        "length=40",
        "length=80",
        "length=120",
    )

    min_length: int
    max_length: int

    @property
    def input_dim(self) -> int:
        return self.bits + 2

    @property
    def output_dim(self) -> int:
        return self.bits

    def rows_needed(self) -> int:
        """One row a vector: `max_length`."""
        return self.max_length

    def durations(self, sizes: Sizes) -> IntArray:
        return 2 * sizes["length"] + 2

    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        length = sizes["length"]
        sequences = np.arange(len(length))
        vectors = self.draw_vectors(rng, (len(length), int(length.max())), training)

        inputs = np.zeros((len(length), steps, self.input_dim), np.float32)
        inputs[..., : self.bits] = lay_out(vectors, *phase(np.ones_like(length), length, steps))
        inputs[:, 0, self.bits] = 1
        inputs[sequences, length + 1, self.bits + 1] = 1

        position, recall = phase(length + 2, length, steps)
        targets = lay_out(vectors, position, recall)
        loss_mask = np.repeat(recall[..., None], self.bits, axis=2).astype(np.float32)
        _, mask = phase(np.zeros_like(length), self.durations(sizes), steps)
        return Batch(inputs, targets, loss_mask, mask, optimum=None)

    def solved(self, summary: Mapping[str, float]) -> bool:
        return summary["bit_errors_per_sequence"] == 0
