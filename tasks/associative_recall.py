"""The associative recall task: name the item that followed the one asked for (section 4.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.base import Task
from tasks.batch import Batch, FloatArray, IntArray, Sizes, lay_out, phase, random_bits
from tasks.training_data import check_share, near_duplicates


@dataclass(kw_only=True)
class AssociativeRecall(Task):
    """See `items` items, be shown one of them again, and recall the one after it.

    An item is `item_length` random vectors of `bits` bits. Time line for n items of l vectors,
    with q = n (l + 1), the step of the first query flag; (n + 2) (l + 1) steps:

        step               k (l + 1)   l steps after it   q   q + 1 ..     q + l + 1   l steps
                           (item k)                           q + l                    after it
        input [:bits]      0           item k             0   item a       0           0
        input [bits]       1           0                  0   0            0           0
        input [bits + 1]   0           0                  1   0            1           0
        target, weight 1   -           -                  -   -            -           item a + 1

    The query a is drawn from the first n - 1 items, so it is never the last one. Items are
    drawn independently of each other: with few bits an item may come twice.

    near_duplicate_rate: share of the vectors shown in training that are replaced by the one in the
        same place of item a, with one bit in sixteen flipped; evaluation never has any of them. A
        machine that looks items up by one of their vectors recalls six of them so, and not
        fifteen, of which two may have that vector (docs/recipe.md).
    min_items, max_items: training range of n, at least 2.
    Solved: fewer than 0.1 wrong bits a sequence at `max_items`.

    Raises ValueError, besides what `Task` does, for a share outside of [0, 1).
    """

    case_keys: ClassVar[tuple[str, ...]] = ("items",)
    standard_cases: ClassVar[tuple[str, ...]] = (
        "items=6",
        "items=10",
        "items=12",
        "items=15",
        "items=20",
    )

    bits: int
    item_length: int
    near_duplicate_rate: float
    min_items: int
    max_items: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("near_duplicate_rate", self.near_duplicate_rate)

    @property
    def input_dim(self) -> int:
        return self.bits + 2

    @property
    def output_dim(self) -> int:
        return self.bits

    @property
    def smallest_size(self) -> int:
        """Two items: one to ask for, and one after it."""
        return 2

    def rows_needed(self) -> int:
        """One row a vector: `max_items` times `item_length`."""
        return self.max_items * self.item_length

    def durations(self, sizes: Sizes) -> IntArray:
        return (sizes["items"] + 2) * (self.item_length + 1)

    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        items, length, bits = sizes["items"], self.item_length, self.bits
        sequences = np.arange(len(items))
        vectors = random_bits(rng, (len(items), int(items.max()) * length, bits))
        asked = rng.integers(0, items - 1)[:, None]
        if training and self.near_duplicate_rate:
            vectors = self._with_near_duplicates(rng, vectors, asked)
        query = items * (length + 1)

        position, shown = phase(np.zeros_like(items), query, steps)
        item, place = np.divmod(position, length + 1)
        flag, vector = shown & (place == 0), shown & (place > 0)
        again, asking = phase(query + 1, np.full_like(items, length), steps)
        inputs = np.zeros((len(items), steps, self.input_dim), np.float32)
        inputs[..., :bits] = lay_out(
            vectors, np.where(vector, item * length + place - 1, 0), vector
        )
        inputs[..., :bits] += lay_out(vectors, asked * length + again, asking)
        inputs[..., bits] = flag
        inputs[sequences, query, bits + 1] = 1
        inputs[sequences, query + length + 1, bits + 1] = 1

        position, recall = phase(query + length + 2, np.full_like(items, length), steps)
        targets = lay_out(vectors, (asked + 1) * length + position, recall)
        loss_mask = np.repeat(recall[..., None], bits, axis=2).astype(np.float32)
        _, mask = phase(np.zeros_like(items), self.durations(sizes), steps)
        return Batch(inputs, targets, loss_mask, mask, optimum=None)

    def _with_near_duplicates(
        self, rng: Generator, vectors: FloatArray, asked: IntArray
    ) -> FloatArray:
        """The vectors (B, items x item_length, bits), some of them like those of the item asked."""
        item, place = np.divmod(np.arange(vectors.shape[1])[None], self.item_length)
        like = vectors[np.arange(len(vectors))[:, None], asked * self.item_length + place]
        return near_duplicates(rng, vectors, like, self.near_duplicate_rate, kept=item == asked)

    def solved(self, summary: Mapping[str, float]) -> bool:
        return summary["bit_errors_per_sequence"] < 0.1
