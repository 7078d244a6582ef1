"""The n-grams task against a construction step by step, its optimum against brute force."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tasks import Batch, NGrams
from tasks.ngrams import draw_bits, optimal_probabilities
from tests.tasks.timeline import assert_time_line


def make(**changes: Any) -> NGrams:
    sizes: dict[str, Any] = {
        "name": "ngrams",
        "context": 5,
        "min_length": 200,
        "max_length": 200,
        "lengths": "sequence",
    }
    return NGrams(**{**sizes, **changes})


def count(bits: list[int], context: int) -> list[float]:
    """Predict each bit of one sequence by counting over again what it has shown before."""
    predictions = []
    for step in range(len(bits)):
        now = bits[step - context : step]
        followers = [
            bits[earlier]
            for earlier in range(context, step)
            if bits[earlier - context : earlier] == now
        ]
        ones, zeros = followers.count(1), followers.count(0)
        predictions.append((ones + 0.5) / (ones + zeros + 1) if step >= context else 0.5)
    return predictions


def bits_needed(bits: list[int], context: int) -> float:
    """Cost of one sequence under the prior, with each table entry integrated out.

    A context that n1 ones and n0 zeros follow adds -log2 B(n1 + 1/2, n0 + 1/2) / B(1/2, 1/2),
    B being the beta function.
    """
    followers: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for step in range(context, len(bits)):
        followers[tuple(bits[step - context : step])].append(bits[step])

    def log_beta(one: float, zero: float) -> float:
        return math.lgamma(one) + math.lgamma(zero) - math.lgamma(one + zero)

    cost = float(context)
    for seen in followers.values():
        ones = sum(seen)
        cost -= (log_beta(ones + 0.5, len(seen) - ones + 0.5) - log_beta(0.5, 0.5)) / math.log(2)
    return cost


def sequences(batch: Batch) -> list[list[int]]:
    return [
        targets[mask, 0].astype(int).tolist()
        for targets, mask in zip(batch.targets, batch.mask, strict=True)
    ]


def test_mixed_lengths_are_as_constructed() -> None:
    lengths = np.array([30, 6, 45])
    batch = make().sample(np.random.default_rng(0), 3, steps=50, length=lengths)
    for row, bits in enumerate(sequences(batch)):
        assert len(bits) == lengths[row]
        before = [0, *bits[:-1]]
        assert_time_line(
            batch, row, [([old], [new]) for old, new in zip(before, bits, strict=True)]
        )


@pytest.mark.parametrize("context", [1, 2, 5])
def test_optimal_predictions_against_counting_again_at_each_step(context: int) -> None:
    bits = draw_bits(np.random.default_rng(1), 6, 80, context)
    expected = [count(sequence, context) for sequence in bits.tolist()]
    np.testing.assert_allclose(optimal_probabilities(bits, context), expected)


def test_optimum_against_the_integral_over_the_table() -> None:
    batch = make(min_length=6).sample(np.random.default_rng(2), 20)
    expected = [bits_needed(bits, 5) for bits in sequences(batch)]
    assert batch.optimum is not None
    np.testing.assert_allclose(batch.optimum, expected)


def test_mean_optimum_is_133_bits_of_which_the_last_195_take_128() -> None:
    task, rng = make(), np.random.default_rng(3)
    batches = [task.sample(rng, 500) for _ in range(5)]
    scores = [task.score(batch, np.full_like(batch.targets, 0.5)) for batch in batches]
    summary = task.summarise({key: np.concatenate([s[key] for s in scores]) for key in scores[0]})
    # A sequence deviates by 36 bits from the mean, that is 0.7 for the mean of 2500.
    assert summary["optimal_bits_per_sequence"] == pytest.approx(133.0, abs=2.5)
    assert summary["optimal_bits_after_context_per_sequence"] == pytest.approx(128.0, abs=2.5)


@pytest.mark.parametrize(
    ("seen", "probability"),
    [
        ([1, 1], 1 / 2),
        ([1, 1, 1], 3 / 4),
        ([1, 1, 1, 1], 5 / 6),
        ([0, 1, 0], 1 / 2),
        ([0, 1, 1], 1 / 2),
        ([0, 1, 0, 1], 1 / 4),
        ([0, 0, 1, 0], 1 / 2),
    ],
)
def test_a_fresh_table_for_each_sequence(seen: list[int], probability: float) -> None:
    # With the moments E p = 1/2, E p^2 = 3/8, E p^3 = 5/16 of Beta(1/2, 1/2), a 1 has the
    # probability 3/4 after a context that a 1 followed once, 5/6 after two, and 1/2 after one
    # that was not seen yet. A context is two bits here.
    bits = draw_bits(np.random.default_rng(4), 20000, 6, context=2)
    alike = (bits[:, : len(seen)] == seen).all(1)
    assert bits[alike, len(seen)].mean() == pytest.approx(probability, abs=0.04)


def test_first_bits_are_fair() -> None:
    bits = draw_bits(np.random.default_rng(5), 8000, 6, context=5)
    np.testing.assert_allclose(bits.mean(0), 0.5, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(bits[:, :5], rowvar=False), np.eye(5), atol=0.06)


def test_the_optimal_predictor_has_no_excess() -> None:
    task = make(min_length=20, max_length=60)
    batch = task.sample(np.random.default_rng(6), 10)
    bits = np.zeros((10, 60), int)
    for row, sequence in enumerate(sequences(batch)):
        bits[row, : len(sequence)] = sequence
    scores = task.score(batch, optimal_probabilities(bits, 5)[..., None])
    np.testing.assert_allclose(scores["excess_bits"], 0, atol=1e-9)
    np.testing.assert_array_equal(scores["loss_bits"], scores["optimal_bits"])


def test_excess_of_a_constant_prediction() -> None:
    task = make(max_length=300)
    batch = task.sample(np.random.default_rng(7), 5, length=np.array([200, 100, 7, 300, 50]))
    scores = task.score(batch, np.full_like(batch.targets, 0.5))
    np.testing.assert_allclose(scores["loss_bits"], [200, 100, 7, 300, 50])
    np.testing.assert_allclose(scores["loss_bits_after_context"], [195, 95, 2, 295, 45])
    assert batch.optimum is not None
    np.testing.assert_allclose(scores["excess_bits"], scores["loss_bits"] - batch.optimum)
    np.testing.assert_array_equal(scores["optimal_bits_after_context"], batch.optimum - 5)
    assert task.summarise(scores)["excess_bits_per_sequence"] == pytest.approx(
        np.mean(scores["excess_bits"])
    )


def test_a_batch_without_its_optimum_is_refused() -> None:
    task = make()
    batch = task.sample(np.random.default_rng(8), 1)._replace(optimum=None)
    with pytest.raises(ValueError, match="needs its optimum"):
        task.score(batch, batch.targets)


def test_a_bit_more_than_the_context_is_needed() -> None:
    with pytest.raises(ValueError, match=r"task.min_length=5: ngrams needs at least 6"):
        make(min_length=5)


def test_cases_and_sizes() -> None:
    assert make().cases() == ["length=200"]
    assert make(max_length=300).cases() == ["length=200", "length=300"]
    assert make().max_steps == 200
    assert make().rows_needed() == 32


def test_solved_is_within_a_bit_of_the_optimum() -> None:
    assert make().solved({"excess_bits_per_sequence": 0.9})
    assert not make().solved({"excess_bits_per_sequence": 1.0})
