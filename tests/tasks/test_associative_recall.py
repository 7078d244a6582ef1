"""The associative recall task against a construction step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks import AssociativeRecall, Batch
from tests.tasks.timeline import Step, assert_time_line

BITS = 8
LENGTH = 3


def make(**changes: Any) -> AssociativeRecall:
    sizes: dict[str, Any] = {
        "name": "associative_recall",
        "bits": BITS,
        "item_length": LENGTH,
        "near_duplicate_rate": 0.0,
        "min_items": 2,
        "max_items": 5,
        "lengths": "sequence",
    }
    return AssociativeRecall(**{**sizes, **changes})


def decode(inputs: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Return the items that one sequence shows, and which of them it asks for."""
    items = [
        inputs[step + 1 : step + 1 + LENGTH, :BITS]
        for step in range(len(inputs))
        if inputs[step, BITS]
    ]
    query = inputs[:, BITS + 1].argmax()
    asked = inputs[query + 1 : query + 1 + LENGTH, :BITS]
    (match,) = (number for number, item in enumerate(items) if (item == asked).all())
    return items, match


def construct(items: list[np.ndarray], asked: int) -> list[Step]:
    """One sequence, step by step."""
    silence, uncounted = [0] * BITS, [None] * BITS
    time_line: list[Step] = []
    for item in items:
        time_line.append(([*silence, 1, 0], uncounted))
        time_line.extend(([*vector, 0, 0], uncounted) for vector in item)
    time_line.append(([*silence, 0, 1], uncounted))
    time_line.extend(([*vector, 0, 0], uncounted) for vector in items[asked])
    time_line.append(([*silence, 0, 1], uncounted))
    time_line.extend(([*silence, 0, 0], vector) for vector in items[asked + 1])
    return time_line


def assert_as_constructed(batch: Batch) -> list[tuple[int, int]]:
    """Compare every sequence; return its number of items and the item asked for."""
    sequences = [decode(inputs) for inputs in batch.inputs]
    for row, (items, asked) in enumerate(sequences):
        assert_time_line(batch, row, construct(items, asked))
    return [(len(items), asked) for items, asked in sequences]


def test_mixed_sizes_are_as_constructed() -> None:
    count = np.array([5, 2, 7, 3])
    batch = make().sample(np.random.default_rng(0), 4, items=count)
    assert [items for items, _ in assert_as_constructed(batch)] == [5, 2, 7, 3]
    assert batch.inputs.shape == (4, 7 * (LENGTH + 1) + (LENGTH + 2) + LENGTH, BITS + 2)
    assert batch.optimum is None


def test_any_item_but_the_last_is_asked_for() -> None:
    batch = make().sample(np.random.default_rng(1), 600, steps=40)
    drawn = assert_as_constructed(batch)
    assert set(drawn) == {(items, asked) for items in (2, 3, 4, 5) for asked in range(items - 1)}
    of_five = [asked for items, asked in drawn if items == 5]
    np.testing.assert_allclose(np.bincount(of_five) / len(of_five), 0.25, atol=0.12)


def test_one_draw_a_batch() -> None:
    drawn = assert_as_constructed(make(lengths="batch").sample(np.random.default_rng(2), 20))
    assert len({items for items, _ in drawn}) == 1
    assert len({asked for _, asked in drawn}) > 1


def test_vectors_are_fair_and_independent() -> None:
    batch = make(bits=2).sample(np.random.default_rng(3), 4000, items=2)
    shown = batch.inputs[:, : 2 * (LENGTH + 1), :2].reshape(4000, 2, LENGTH + 1, 2)
    vectors = shown[:, :, 1:].reshape(4000, -1)
    assert set(np.unique(vectors)) == {0, 1}
    np.testing.assert_allclose(vectors.mean(0), 0.5, atol=0.04)
    correlation = np.corrcoef(vectors, rowvar=False) - np.eye(vectors.shape[1])
    np.testing.assert_allclose(correlation, 0, atol=0.08)


def test_vectors_are_like_those_of_the_item_asked_for_in_training_alone() -> None:
    """A vector is like the one in its place in k bits by chance, or by design where replaced."""
    task = make(near_duplicate_rate=0.25, min_items=4, max_items=4, lengths="batch")
    trained = task.training_sample(np.random.default_rng(5), 4000)
    evaluated = task.sample(np.random.default_rng(5), 4000)
    flipped = 1 / 16
    for batch, share in ((trained, 0.25), (evaluated, 0.0)):
        shown = batch.inputs[:, : 4 * (LENGTH + 1), :BITS].reshape(4000, 4, LENGTH + 1, BITS)
        asked = batch.inputs[:, None, 4 * (LENGTH + 1) + 1 :, :BITS][:, :, :LENGTH]
        alike = (shown[:, :, 1:] == asked).all(axis=3)
        assert (alike.all(axis=2).sum(axis=1) >= 1).all()
        others = alike[~alike.all(axis=2)].reshape(-1, LENGTH)
        expected = share * (1 - flipped) ** BITS + (1 - share) / 2**BITS
        # Items that happen to be like the one asked for in all places are left out.
        expected = (expected - expected**LENGTH) / (1 - expected**LENGTH)
        np.testing.assert_allclose(others.mean(0), expected, atol=0.02)
        np.testing.assert_allclose(asked.mean((0, 1)), 0.5, atol=0.04)
        targets = batch.targets[:, -LENGTH:]
        for sequence in range(200):
            items, match = shown[sequence, :, 1:], alike[sequence].all(axis=1)
            assert any((items[i + 1] == targets[sequence]).all() for i in np.flatnonzero(match[:3]))


def test_a_share_out_of_range_is_refused() -> None:
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match=r"near_duplicate_rate=\S+ must be a share from 0"):
            make(near_duplicate_rate=share)


def test_a_single_vector_an_item() -> None:
    task = make(item_length=1, bits=4)
    batch = task.sample(np.random.default_rng(4), 1, items=2)
    first, second = batch.inputs[0, [1, 3], :4].tolist()
    silence, uncounted = [0] * 4, [None] * 4
    time_line: list[Step] = [
        ([*silence, 1, 0], uncounted),
        ([*first, 0, 0], uncounted),
        ([*silence, 1, 0], uncounted),
        ([*second, 0, 0], uncounted),
        ([*silence, 0, 1], uncounted),
        ([*first, 0, 0], uncounted),
        ([*silence, 0, 1], uncounted),
        ([*silence, 0, 0], second),
    ]
    assert_time_line(batch, 0, time_line)


def test_an_item_more_than_asked_for_is_needed() -> None:
    with pytest.raises(ValueError, match=r"task.min_items=1: .* needs at least 2"):
        make(min_items=1)
    with pytest.raises(ValueError, match=r"items=1 is not a whole number of at least 2"):
        make().parse_case("items=1")
    with pytest.raises(ValueError, match=r"items=1: .* needs at least 2"):
        make().sample(np.random.default_rng(0), 1, items=1)


def test_cases() -> None:
    assert make().cases() == [f"items={count}" for count in (5, 6, 10, 12, 15, 20)]
    assert make().solved_case() == "items=5"


def test_rows_needed_is_one_a_vector() -> None:
    assert make().rows_needed() == 5 * LENGTH


def test_solved_is_below_a_tenth_of_a_bit() -> None:
    assert make().solved({"bit_errors_per_sequence": 0.09})
    assert not make().solved({"bit_errors_per_sequence": 0.1})
