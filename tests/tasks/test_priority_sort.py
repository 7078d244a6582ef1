"""The priority sort task against a construction step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks import Batch, PrioritySort
from tests.tasks.timeline import Step, assert_time_line

BITS = 4
TARGETS = 3


def make(**changes: Any) -> PrioritySort:
    sizes: dict[str, Any] = {
        "name": "priority_sort",
        "bits": BITS,
        "min_items": 1,
        "max_items": 6,
        "targets": TARGETS,
        "lengths": "sequence",
    }
    return PrioritySort(**{**sizes, **changes})


def construct(shown: list[list[float]]) -> list[Step]:
    """One sequence, step by step; `shown` are vectors with their priority at the end."""
    silence, uncounted = [0] * BITS, [None] * BITS
    time_line: list[Step] = [([*vector, 0], uncounted) for vector in shown]
    time_line.append(([*silence, 0, 1], uncounted))
    remaining = list(shown)
    while remaining and len(shown) - len(remaining) < TARGETS:
        highest = max(remaining, key=lambda vector: vector[BITS])
        remaining.remove(highest)
        time_line.append(([0] * (BITS + 2), highest[:BITS]))
    return time_line


def assert_as_constructed(batch: Batch) -> list[int]:
    """Compare every sequence; return its number of items."""
    counts: list[int] = batch.inputs[..., BITS + 1].argmax(1).tolist()
    for row, items in enumerate(counts):
        shown = batch.inputs[row, :items, : BITS + 1].tolist()
        assert_time_line(batch, row, construct(shown))
    return counts


def test_mixed_sizes_are_as_constructed() -> None:
    items = np.array([6, 1, 9, 2, 3, 5])
    batch = make().sample(np.random.default_rng(0), 6, items=items)
    assert assert_as_constructed(batch) == items.tolist()
    assert batch.inputs.shape == (6, 9 + 1 + TARGETS, BITS + 2)
    assert batch.optimum is None


@pytest.mark.parametrize("lengths", ["batch", "sequence"])
def test_drawn_sizes_are_as_constructed(lengths: str) -> None:
    batch = make(lengths=lengths).sample(np.random.default_rng(1), 100, steps=15)
    assert len(set(assert_as_constructed(batch))) == (1 if lengths == "batch" else 6)


def test_vectors_are_fair_and_priorities_uniform() -> None:
    batch = make().sample(np.random.default_rng(2), 4000, items=6)
    vectors, priorities = batch.inputs[:, :6, :BITS], batch.inputs[:, :6, BITS]
    assert set(np.unique(vectors)) == {0, 1}
    np.testing.assert_allclose(vectors.mean(0), 0.5, atol=0.04)
    assert priorities.min() >= -1
    assert priorities.max() <= 1
    np.testing.assert_allclose(
        np.quantile(priorities, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.03
    )
    together = np.concatenate([vectors.reshape(4000, -1), priorities], axis=1)
    correlation = np.corrcoef(together, rowvar=False) - np.eye(together.shape[1])
    np.testing.assert_allclose(correlation, 0, atol=0.08)


def test_steps_with_fewer_items_than_targets() -> None:
    assert make().steps(items=20) == 20 + 1 + TARGETS
    assert make().steps(items=2) == 2 + 1 + 2


def test_the_papers_size() -> None:
    task = make(bits=8, min_items=20, max_items=20, targets=16)
    batch = task.sample(np.random.default_rng(3), 2)
    np.testing.assert_array_equal(batch.loss_mask.sum((1, 2)), 128)
    assert batch.inputs.shape == (2, 37, 10)


def test_cases() -> None:
    assert make(max_items=20).cases() == ["items=20", "items=25", "items=30", "items=40"]
    assert make().cases()[0] == make().solved_case() == "items=6"


def test_rows_needed_is_one_a_vector() -> None:
    assert make().rows_needed() == 6


def test_solved_is_below_ten_bits_of_cross_entropy() -> None:
    assert make().solved({"loss_bits_per_sequence": 9.9, "bit_errors_per_sequence": 11})
    assert not make().solved({"loss_bits_per_sequence": 10.0, "bit_errors_per_sequence": 1})
