"""The dynamic n-grams task: learn a sequence's own statistics while it runs (section 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.base import Task
from tasks.batch import Batch, FloatArray, IntArray, Sizes, phase
from tasks.scores import cross_entropy_bits


@dataclass(kw_only=True)
class NGrams(Task):
    """Predict each bit of a sequence from the bits before it.

    A sequence has a table of its own, which is not shown: the probability of a 1 after each of
    the 2^c contexts of c = `context` bits, drawn from Beta(1/2, 1/2). Its first c bits are fair.
    Time line for length L, L steps:

        step              0       t = 1 .. L - 1
        input [0]         0       bit t - 1
        target, weight 1  bit 0   bit t

    All L bits count, the first c as well, at one bit each for whoever knows that they are fair.
    The paper's size is c = 5 and L = 200. The optimal predictor then needs 133.0 bits a
    sequence in the mean: 5 for the first five bits and 128.0 for the other 195.

    Scores beside the usual: `optimal_bits`, what the optimal predictor needs for the same
    sequence, and `excess_bits`, what the model needs above it; `loss_bits_after_context` and
    `optimal_bits_after_context` are without the first c bits. Bit errors say little here.

    context: c, so that the table is one of (c + 1)-grams. min_length, max_length: training
    range of L, which must be above c.
    Solved: less than 1 bit a sequence above the optimal predictor at `max_length`.
    """

    case_keys: ClassVar[tuple[str, ...]] = ("length",)
    standard_cases: ClassVar[tuple[str, ...]] = ("length=200",)

    context: int
    min_length: int
    max_length: int

    @property
    def input_dim(self) -> int:
        return 1

    @property
    def output_dim(self) -> int:
        return 1

    @property
    def smallest_size(self) -> int:
        """One bit more than the context, so that there is one to predict."""
        return self.context + 1

    def rows_needed(self) -> int:
        """One row of counts for each context: 2^`context`."""
        return 1 << self.context

    def durations(self, sizes: Sizes) -> IntArray:
        return sizes["length"]

    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        length = sizes["length"]
        bits = draw_bits(rng, len(length), int(length.max()), self.context)
        padding = ((0, 0), (0, steps - bits.shape[1]))

        _, mask = phase(np.zeros_like(length), length, steps)
        loss_mask = mask[..., None].astype(np.float32)
        targets = np.pad(bits, padding)[..., None].astype(np.float32) * loss_mask
        inputs = np.zeros_like(targets)
        inputs[:, 1:] = targets[:, :-1] * loss_mask[:, 1:]

        batch = Batch(inputs, targets, loss_mask, mask, optimum=None)
        if training:
            return batch
        optimal = optimal_probabilities(bits, self.context)
        cost = cross_entropy_bits(batch, np.pad(optimal, padding)[..., None])
        return batch._replace(optimum=(cost * loss_mask).sum((1, 2)))

    def score(self, batch: Batch, probabilities: FloatArray) -> dict[str, FloatArray]:
        """Add the optimal predictor's bits on the same sequences, and the excess over them."""
        if batch.optimum is None:
            raise ValueError("a batch of ngrams needs its optimum: use it as sample() returns it")
        scores = super().score(batch, probabilities)
        first = np.sum(cross_entropy_bits(batch, probabilities)[:, : self.context], axis=(1, 2))
        return {
            **scores,
            "optimal_bits": batch.optimum,
            "excess_bits": scores["loss_bits"] - batch.optimum,
            "loss_bits_after_context": scores["loss_bits"] - first,
            "optimal_bits_after_context": batch.optimum - self.context,
        }

    def solved(self, summary: Mapping[str, float]) -> bool:
        return summary["excess_bits_per_sequence"] < 1


def draw_bits(rng: Generator, batch_size: int, length: int, context: int) -> IntArray:
    """Draw sequences (B, length) of bits, each from a fresh table of probabilities."""
    table = rng.beta(0.5, 0.5, (batch_size, 2**context))
    chance = rng.random((batch_size, length))
    bits = (chance < 0.5).astype(np.int64)
    sequences = np.arange(batch_size)
    before = context_numbers(bits[:, :context], context)[:, 0]
    for step in range(context, length):
        bits[:, step] = chance[:, step] < table[sequences, before]
        before = (2 * before + bits[:, step]) % 2**context
    return bits


def context_numbers(bits: IntArray, context: int) -> IntArray:
    """Return the number, from 0 to 2^context - 1, of every run of `context` bits.

    bits: (B, T). The oldest bit of a run weighs most. Returns (B, T - context + 1).
    """
    runs = np.lib.stride_tricks.sliding_window_view(bits, context, axis=1)
    return np.asarray(runs @ (1 << np.arange(context)[::-1]))


def optimal_probabilities(bits: IntArray, context: int) -> FloatArray:
    """Return the optimal predictor's probability of a 1 before each of the bits (B, T).

    N1 and N0 count the ones and zeros that have followed the present context so far:

        P(1) = (N1 + 1/2) / (N1 + N0 + 1)

    It is the mean of the posterior under the prior Beta(1/2, 1/2), hence the best predictor of
    sequences drawn from such tables. For the first `context` bits it is 1/2.
    """
    before, following = context_numbers(bits, context)[:, :-1], bits[:, context:]
    # Sorted by context, in order of time within each, what a context has shown so far is a
    # cumulative sum since the first of its steps.
    order = np.argsort(before, axis=1, kind="stable")
    sorted_before = np.take_along_axis(before, order, axis=1)
    sorted_following = np.take_along_axis(following, order, axis=1)
    place = np.broadcast_to(np.arange(order.shape[1]), order.shape)
    is_first = np.diff(sorted_before, axis=1, prepend=-1) != 0
    first = np.maximum.accumulate(np.where(is_first, place, 0), axis=1)
    earlier_ones = np.cumsum(sorted_following, axis=1) - sorted_following
    ones = earlier_ones - np.take_along_axis(earlier_ones, first, axis=1)

    probabilities = np.full(bits.shape, 0.5)
    estimates = (ones + 0.5) / (place - first + 1)
    np.put_along_axis(probabilities[:, context:], order, estimates, axis=1)
    return probabilities
