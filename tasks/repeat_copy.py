"""The repeat copy task: repeat a sequence as often as told, then say so (section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.batch import Batch, FloatArray, IntArray, Sizes, lay_out, phase
from tasks.copying import CopyTask
from tasks.scores import wrong_bits
from tasks.training_data import check_share

# Deviation of counts that say nothing; those of the training range have 1.
WIDE = 3.0


@dataclass(kw_only=True)
class RepeatCopy(CopyTask):
    """Copy `length` random vectors of `bits` bits `repeats` times, then emit an end marker.

    Time line for length L and R repeats, L (R + 1) + 3 steps:

        step                        0   1 .. L    L + 1   L + 2 .. L (R + 1) + 1   L (R + 1) + 2
        input [:bits]               0   vectors   0       0                        0
        input [bits]                1   0         0       0                        0
        input [bits + 1]            0   0         1       0                        0
        input [bits + 2]            0   0         count   0                        0
        target [:bits], weight 1    -   -         -       vectors, R times         -
        target [bits], weight 1     -   -         -       0                        1

    The marker counts on every step from L + 2 on, the content on all of these but the last.

    count: R, moved and scaled to mean 0 and variance 1 over the training range of R; values
    beyond the range go on at the same scale. A model belongs to the scale that it was trained
    with: evaluate it on other counts by case, and leave the range as it was.

    The start flag and the flag beside the count are not the paper's. The flag tells a count
    that happens to be 0 on this scale from a blank.

    bits: width of a vector. min_length, max_length, min_repeats, max_repeats: training ranges.
    random_count_rate: share of the training sequences whose count is any normal number of deviation
        3, and whose marker does not count; evaluation never has any of them. So the content is
        learned without the count, and stays right where the count is beyond its range.
    Solved: fewer than 0.1 wrong content bits and fewer than 0.1 wrong marker bits a sequence
    at `max_length` and `max_repeats`.
    """

    case_keys: ClassVar[tuple[str, ...]] = ("length", "repeats")
    standard_cases: ClassVar[tuple[str, ...]] = (
        "length=10,repeats=10",
        "length=20,repeats=10",
        "length=10,repeats=20",
    )

    min_length: int
    max_length: int
    min_repeats: int
    max_repeats: int
    random_count_rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share("random_count_rate", self.random_count_rate)

    @property
    def input_dim(self) -> int:
        return self.bits + 3

    @property
    def output_dim(self) -> int:
        return self.bits + 1

    def rows_needed(self) -> int:
        """One row a vector: `max_length`, however often it is repeated."""
        return self.max_length

    def durations(self, sizes: Sizes) -> IntArray:
        return sizes["length"] * (sizes["repeats"] + 1) + 3

    def normalise(self, repeats: IntArray) -> FloatArray:
        """Return counts with mean 0 and variance 1 over the training range of `repeats`.

        A range of n counts has the variance (n^2 - 1) / 12; a single count is only centred.
        """
        mean = (self.min_repeats + self.max_repeats) / 2
        counts = self.max_repeats - self.min_repeats + 1
        deviation = np.sqrt((counts**2 - 1) / 12) if counts > 1 else 1.0
        return np.asarray((repeats - mean) / deviation)

    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        length, repeats = sizes["length"], sizes["repeats"]
        sequences = np.arange(len(length))
        vectors = self.draw_vectors(rng, (len(length), int(length.max())), training)

        inputs = np.zeros((len(length), steps, self.input_dim), np.float32)
        inputs[..., : self.bits] = lay_out(vectors, *phase(np.ones_like(length), length, steps))
        inputs[:, 0, self.bits] = 1
        inputs[sequences, length + 1, self.bits + 1] = 1
        count, counted = self.normalise(repeats), np.ones(len(length), bool)
        if training and self.random_count_rate:
            counted = rng.random(len(length)) >= self.random_count_rate
            count = np.where(counted, count, WIDE * rng.standard_normal(len(length)))
        inputs[sequences, length + 1, self.bits + 2] = count

        durations = self.durations(sizes)
        position, content = phase(length + 2, length * repeats, steps)
        _, recall = phase(length + 2, durations - length - 2, steps)
        targets = np.zeros((len(length), steps, self.output_dim), np.float32)
        targets[..., : self.bits] = lay_out(vectors, position % length[:, None], content)
        targets[sequences, durations - 1, self.bits] = 1
        loss_mask = np.zeros_like(targets)
        loss_mask[..., : self.bits] = content[..., None]
        loss_mask[..., self.bits] = recall & counted[:, None]
        _, mask = phase(np.zeros_like(length), durations, steps)
        return Batch(inputs, targets, loss_mask, mask, optimum=None)

    def score(self, batch: Batch, probabilities: FloatArray) -> dict[str, FloatArray]:
        """Add the wrong bits of the content and those of the marker, apart."""
        wrong = wrong_bits(batch, probabilities) * batch.loss_mask
        return {
            **super().score(batch, probabilities),
            "content_errors": wrong[..., : self.bits].sum((1, 2)),
            "marker_errors": wrong[..., self.bits].sum(1),
        }

    def solved(self, summary: Mapping[str, float]) -> bool:
        return (
            summary["content_errors_per_sequence"] < 0.1
            and summary["marker_errors_per_sequence"] < 0.1
        )
