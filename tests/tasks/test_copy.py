"""The copy task against a construction step by step."""

from __future__ import annotations

import numpy as np
import pytest

from tasks import Batch, Copy
from tests.tasks.timeline import Step, assert_time_line

BITS = 3


def make(
    lengths: str = "sequence",
    zero_rate: float = 0.0,
    near_duplicate_rate: float = 0.0,
    min_length: int = 1,
) -> Copy:
    sizes = {"bits": BITS, "min_length": min_length, "max_length": 6}
    return Copy(
        name="copy",
        zero_rate=zero_rate,
        near_duplicate_rate=near_duplicate_rate,
        lengths=lengths,
        **sizes,
    )


def construct(vectors: np.ndarray) -> list[Step]:
    """One sequence, step by step."""
    silence, uncounted = [0] * BITS, [None] * BITS
    return [
        ([*silence, 1, 0], uncounted),
        *[([*vector, 0, 0], uncounted) for vector in vectors],
        ([*silence, 0, 1], uncounted),
        *[([*silence, 0, 0], vector) for vector in vectors],
    ]


def assert_as_constructed(batch: Batch, lengths: np.ndarray) -> None:
    for row, length in enumerate(lengths):
        vectors = batch.inputs[row, 1 : 1 + length, :BITS]
        assert_time_line(batch, row, construct(vectors))


def test_mixed_lengths_are_as_constructed() -> None:
    lengths = np.array([4, 1, 6, 2])
    batch = make().sample(np.random.default_rng(0), 4, length=lengths)
    assert_as_constructed(batch, lengths)
    assert batch.inputs.shape == (4, 14, BITS + 2)
    assert batch.optimum is None


@pytest.mark.parametrize("lengths", ["batch", "sequence"])
def test_drawn_lengths_are_as_constructed(lengths: str) -> None:
    batch = make(lengths).sample(np.random.default_rng(1), 30, steps=20)
    drawn = (batch.mask.sum(1) - 2) // 2
    assert_as_constructed(batch, drawn)
    assert len(set(drawn)) == (1 if lengths == "batch" else 6)


def test_vectors_are_fair_and_independent() -> None:
    batch = make().sample(np.random.default_rng(2), 4000, length=6)
    vectors = batch.inputs[:, 1:7, :BITS].reshape(4000, -1)
    assert set(np.unique(vectors)) == {0, 1}
    np.testing.assert_allclose(vectors.mean(0), 0.5, atol=0.04)
    correlation = np.corrcoef(vectors, rowvar=False) - np.eye(6 * BITS)
    np.testing.assert_allclose(correlation, 0, atol=0.08)


def test_vectors_are_replaced_by_zeros_in_training_alone() -> None:
    task = make("batch", zero_rate=0.25, min_length=6)
    trained = task.training_sample(np.random.default_rng(3), 4000)
    evaluated = task.sample(np.random.default_rng(3), 4000)
    for batch, expected in ((trained, 0.25 + 0.75 / 2**BITS), (evaluated, 1 / 2**BITS)):
        zeros = ~batch.inputs[:, 1:7, :BITS].any(axis=2)
        # Five standard deviations of a mean over 4,000 sequences.
        np.testing.assert_allclose(zeros.mean(0), expected, atol=0.035)
        assert_as_constructed(batch, np.full(20, 6))


def test_vectors_are_like_the_first_in_training_alone() -> None:
    """A vector is like the first in k bits by chance, or by design where it is replaced."""
    task = make("batch", near_duplicate_rate=0.25, min_length=6)
    trained = task.training_sample(np.random.default_rng(4), 4000)
    evaluated = task.sample(np.random.default_rng(4), 4000)
    flipped = 1 / 16
    for batch, share in ((trained, 0.25), (evaluated, 0.0)):
        vectors = batch.inputs[:, 1:7, :BITS]
        same = (vectors[:, 1:] == vectors[:, :1]).all(axis=2).mean(0)
        expected = share * (1 - flipped) ** BITS + (1 - share) / 2**BITS
        np.testing.assert_allclose(same, expected, atol=0.035)
        differing = (vectors[:, 1:] != vectors[:, :1]).mean((0, 2))
        np.testing.assert_allclose(differing, share * flipped + (1 - share) / 2, atol=0.03)
        np.testing.assert_allclose(vectors[:, 0].mean(0), 0.5, atol=0.04)
        assert_as_constructed(batch, np.full(20, 6))


@pytest.mark.parametrize("share", [-0.1, 1.0])
@pytest.mark.parametrize("name", ["zero_rate", "near_duplicate_rate"])
def test_a_share_out_of_range_is_refused(name: str, share: float) -> None:
    with pytest.raises(ValueError, match=f"task.{name}={share} must be a share from 0"):
        make(**{name: share})


def test_the_default_size_has_the_seeds_channels() -> None:
    sizes = {"bits": 8, "min_length": 1, "max_length": 20}
    task = Copy(name="copy", zero_rate=0.0, near_duplicate_rate=0.0, lengths="batch", **sizes)
    assert (task.input_dim, task.output_dim, task.max_steps) == (10, 8, 42)


def test_rows_needed_is_one_a_vector() -> None:
    assert make().rows_needed() == 6


def test_cases_include_the_longest_training_length() -> None:
    assert make().cases() == [f"length={length}" for length in (5, 6, 10, 20, 40, 80, 120)]


def test_solved_allows_no_wrong_bit() -> None:
    assert make().solved({"bit_errors_per_sequence": 0.0})
    assert not make().solved({"bit_errors_per_sequence": 1 / 640})
