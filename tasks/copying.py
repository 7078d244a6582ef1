"""What the tasks share that show random vectors to be copied from memory."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.random import Generator

from tasks.base import Task
from tasks.batch import FloatArray, random_bits
from tasks.training_data import check_share, near_duplicates


@dataclasses.dataclass(kw_only=True)
class CopyTask(Task):
    """A task that shows random vectors and then nothing, to be copied from memory.

    bits: width of a vector.
    zero_rate: share of the vectors shown in training that are replaced by zeros; evaluation never
        has any of them. A vector of zeros looks like the blank input of the recall, and a machine
        must tell them apart in every place and in a row; one vector in 2^`bits` is too few to
        learn it from (docs/recipe.md).
    near_duplicate_rate: share of the vectors shown in training that are replaced by the sequence's
        first one, with one bit in sixteen flipped; evaluation never has any of them. A
        machine that finds the beginning by its content copies twenty vectors so, and not a
        hundred, among which some resemble it (docs/recipe.md).

    Raises ValueError, besides what `Task` does, for shares outside of [0, 1).
    """

    bits: int
    zero_rate: float
    near_duplicate_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("zero_rate", self.zero_rate)
        check_share("near_duplicate_rate", self.near_duplicate_rate)

    def draw_vectors(self, rng: Generator, shape: tuple[int, int], training: bool) -> FloatArray:
        """Random vectors (*shape, bits), float32."""
        vectors = random_bits(rng, (*shape, self.bits))
        if training and self.zero_rate:
            vectors *= (rng.random(shape) >= self.zero_rate)[..., None]
        if training and self.near_duplicate_rate:
            first = np.arange(shape[1])[None] == 0
            rate = self.near_duplicate_rate
            vectors = near_duplicates(rng, vectors, vectors[:, :1], rate, kept=first)
        return vectors
