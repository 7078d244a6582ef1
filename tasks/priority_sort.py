"""The priority sort task: the vectors of highest priority, in order (section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.base import Task
from tasks.batch import Batch, IntArray, Sizes, lay_out, phase, random_bits


@dataclass(kw_only=True)
class PrioritySort(Task):
    """See `items` random vectors with a priority each; recall the highest, highest first.

    Time line for n items, of which k = min(`targets`, n) are recalled, n + k + 1 steps:

        step              0 .. n - 1   n   n + 1 .. n + k
        input [:bits]     vectors      0   0
        input [bits]      priorities   0   0
        input [bits + 1]  0            1   0
        target, weight 1  -            -   the k vectors of highest priority, in falling order

    Priorities are uniform between -1 and 1. The end flag tells the recall from a vector of
    zeros; the paper does not say how it marks that step. With more items than in training as
    many are recalled, out of more.

    bits: width of a vector. min_items, max_items: training range of n (the paper's: 20).
    targets: how many are recalled (the paper's: 16).
    Solved: a cross-entropy below 10 bits a sequence at `max_items`.
    """

    case_keys: ClassVar[tuple[str, ...]] = ("items",)
    standard_cases: ClassVar[tuple[str, ...]] = ("items=20", "items=25", "items=30", "items=40")

    bits: int
    min_items: int
    max_items: int
    targets: int

    @property
    def input_dim(self) -> int:
        return self.bits + 2

    @property
    def output_dim(self) -> int:
        return self.bits

    def rows_needed(self) -> int:
        """One row a vector: `max_items`, since any of them may be among the highest."""
        return self.max_items

    def durations(self, sizes: Sizes) -> IntArray:
        return sizes["items"] + self._recalled(sizes["items"]) + 1

    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        items, bits = sizes["items"], self.bits
        sequences, longest = np.arange(len(items)), int(items.max())
        vectors = random_bits(rng, (len(items), longest, bits))
        priorities = rng.uniform(-1, 1, (len(items), longest)).astype(np.float32)

        position, shown = phase(np.zeros_like(items), items, steps)
        inputs = np.zeros((len(items), steps, self.input_dim), np.float32)
        inputs[..., :bits] = lay_out(vectors, position, shown)
        inputs[..., bits : bits + 1] = lay_out(priorities[..., None], position, shown)
        inputs[sequences, items, bits + 1] = 1

        beyond = np.arange(longest) >= items[:, None]
        order = np.argsort(np.where(beyond, np.inf, -priorities), axis=1)
        ranked = np.take_along_axis(vectors, order[..., None], axis=1)
        position, recall = phase(items + 1, self._recalled(items), steps)
        targets = lay_out(ranked, position, recall)
        loss_mask = np.repeat(recall[..., None], bits, axis=2).astype(np.float32)
        _, mask = phase(np.zeros_like(items), self.durations(sizes), steps)
        return Batch(inputs, targets, loss_mask, mask, optimum=None)

    def solved(self, summary: Mapping[str, float]) -> bool:
        return summary["loss_bits_per_sequence"] < 10

    def _recalled(self, items: IntArray) -> IntArray:
        """Return k, the number of vectors recalled out of `items`."""
        return np.minimum(items, self.targets)
