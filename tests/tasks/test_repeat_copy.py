"""The repeat copy task against a construction step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks import Batch, RepeatCopy
from tests.tasks.timeline import Step, assert_time_line

BITS = 3


def make(**changes: Any) -> RepeatCopy:
    sizes: dict[str, Any] = {
        "name": "repeat_copy",
        "bits": BITS,
        "zero_rate": 0.0,
        "near_duplicate_rate": 0.0,
        "min_length": 1,
        "max_length": 4,
        "min_repeats": 2,
        "max_repeats": 6,
        "random_count_rate": 0.0,
        "lengths": "sequence",
    }
    return RepeatCopy(**{**sizes, **changes})


def construct(vectors: np.ndarray, repeats: int) -> list[Step]:
    """One sequence, step by step; the counts 2, 3, 4, 5, 6 have the mean 4 and the variance 2."""
    silence, uncounted = [0] * BITS, [None] * (BITS + 1)
    count = float((repeats - 4) / np.sqrt(2))
    return [
        ([*silence, 1, 0, 0], uncounted),
        *[([*vector, 0, 0, 0], uncounted) for vector in vectors],
        ([*silence, 0, 1, count], uncounted),
        *[([*silence, 0, 0, 0], [*vector, 0]) for _ in range(repeats) for vector in vectors],
        ([*silence, 0, 0, 0], [*[None] * BITS, 1]),
    ]


def assert_as_constructed(batch: Batch, lengths: np.ndarray, repeats: np.ndarray) -> None:
    for row, (length, times) in enumerate(zip(lengths, repeats, strict=True)):
        vectors = batch.inputs[row, 1 : 1 + length, :BITS]
        assert_time_line(batch, row, construct(vectors, times))


def test_mixed_sizes_are_as_constructed() -> None:
    lengths, repeats = np.array([4, 1, 3, 2, 3]), np.array([6, 3, 2, 4, 9])
    batch = make().sample(np.random.default_rng(0), 5, length=lengths, repeats=repeats)
    assert_as_constructed(batch, lengths, repeats)
    assert batch.inputs.shape == (5, 4 * (9 + 1) + 3, BITS + 3)
    assert batch.optimum is None


@pytest.mark.parametrize("lengths", ["batch", "sequence"])
def test_drawn_sizes_are_as_constructed(lengths: str) -> None:
    batch = make(lengths=lengths).sample(np.random.default_rng(1), 200, steps=50)
    drawn = batch.inputs[..., BITS + 1].argmax(1) - 1
    repeats = (batch.mask.sum(1) - 3) // drawn - 1
    assert_as_constructed(batch, drawn, repeats)
    pairs = {(int(length), int(times)) for length, times in zip(drawn, repeats, strict=True)}
    assert len(pairs) == (1 if lengths == "batch" else 4 * 5)


def test_vectors_are_fair_bits() -> None:
    vectors = make().sample(np.random.default_rng(2), 4000, length=2, repeats=2).inputs[:, 1:3]
    assert set(np.unique(vectors[..., :BITS])) == {0, 1}
    np.testing.assert_allclose(vectors[..., :BITS].mean(0), 0.5, atol=0.04)


@pytest.mark.parametrize(("low", "high"), [(1, 10), (3, 4), (2, 2)])
def test_counts_have_mean_0_and_variance_1_over_the_training_range(low: int, high: int) -> None:
    counts = make(min_repeats=low, max_repeats=high).normalise(np.arange(low, high + 1))
    np.testing.assert_allclose(counts.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(counts.var(), 1 if high > low else 0)


def test_counts_beyond_the_training_range_go_on_at_the_same_scale() -> None:
    counts = make().normalise(np.arange(1, 21))
    np.testing.assert_allclose(np.diff(counts), 1 / np.sqrt(2))


def test_a_single_count_has_a_finite_scale() -> None:
    np.testing.assert_array_equal(
        make(min_repeats=3, max_repeats=3).normalise(np.array([3, 5])), [0, 2]
    )


def test_uncounted_sequences_of_training_have_any_count_and_no_marker_that_counts() -> None:
    task = make(random_count_rate=0.25, lengths="batch", min_length=4, min_repeats=6)
    trained = task.training_sample(np.random.default_rng(4), 4000)
    # The flag beside the count is on step 5, the recall from step 6 to the end of 4 (6 + 1) + 3.
    counts = trained.inputs[:, 5, BITS + 2]
    uncounted = counts != 0  # The only count of the range.
    # Five standard deviations of a mean, of a mean and of a deviation over these sequences.
    np.testing.assert_allclose(uncounted.mean(), 0.25, atol=0.035)
    np.testing.assert_allclose(counts[uncounted].mean(), 0, atol=0.5)
    np.testing.assert_allclose(counts[uncounted].std(), 3, atol=0.35)
    recall = slice(6, 31)
    np.testing.assert_array_equal(trained.loss_mask[uncounted, recall, BITS], 0)
    np.testing.assert_array_equal(trained.loss_mask[~uncounted, recall, BITS], 1)
    np.testing.assert_array_equal(trained.loss_mask[:, 6:30, :BITS], 1)
    evaluated = make(random_count_rate=0.25).sample(
        np.random.default_rng(4), 200, length=4, repeats=6
    )
    assert_as_constructed(evaluated, np.full(200, 4), np.full(200, 6))


@pytest.mark.parametrize("random_count_rate", [-0.1, 1.5])
def test_a_share_of_uncounted_sequences_out_of_range_is_refused(random_count_rate: float) -> None:
    with pytest.raises(
        ValueError, match=f"task.random_count_rate={random_count_rate} must be a share from 0"
    ):
        make(random_count_rate=random_count_rate)


def test_content_and_marker_are_scored_apart() -> None:
    task = make()
    batch = task.sample(np.random.default_rng(3), 3, length=2, repeats=3)
    probabilities = batch.targets * 0.5 + 0.25
    # Recall is on steps 4 to 9 and the marker on step 10. The first sequence has two wrong
    # content bits and a marker too early, the second misses its marker, the third is right:
    # what it says on steps that don't count makes no difference.
    probabilities[0, 4, :2] = 0.75 - 0.5 * batch.targets[0, 4, :2]
    probabilities[0, 9, BITS] = 0.75
    probabilities[1, 10, BITS] = 0.25
    probabilities[2, 10, :BITS] = 0.75
    probabilities[2, 3] = 0.75
    scores = task.score(batch, probabilities)
    np.testing.assert_array_equal(scores["content_errors"], [2, 0, 0])
    np.testing.assert_array_equal(scores["marker_errors"], [1, 1, 0])
    np.testing.assert_array_equal(scores["bit_errors"], [3, 1, 0])
    np.testing.assert_array_equal(scores["bits"], 3 * [2 * 3 * (BITS + 1) + 1])
    summary = task.summarise(scores)
    assert summary["content_errors_per_sequence"] == pytest.approx(2 / 3)
    assert summary["marker_errors_per_sequence"] == pytest.approx(2 / 3)
    assert summary["sequences_correct"] == pytest.approx(1 / 3)


def test_cases() -> None:
    assert make().cases() == [
        "length=4,repeats=6",
        "length=10,repeats=10",
        "length=10,repeats=20",
        "length=20,repeats=10",
    ]
    parsed = make().parse_case("repeats=6,length=3")
    assert list(parsed.items()) == [("length", 3), ("repeats", 6)]
    with pytest.raises(ValueError, match=r"repeats is missing.*form 'length=4,repeats=6'"):
        make().parse_case("length=3")


def test_rows_needed_is_one_a_vector() -> None:
    assert make().rows_needed() == 4


def test_solved_needs_both_content_and_marker() -> None:
    def solved(content: float, marker: float) -> bool:
        return make().solved(
            {"content_errors_per_sequence": content, "marker_errors_per_sequence": marker}
        )

    assert solved(0.09, 0.09)
    assert not solved(0.1, 0.0)
    assert not solved(0.0, 0.1)
