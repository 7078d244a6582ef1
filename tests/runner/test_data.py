"""Training batches: the same for the same place in a run, in order, whatever the thread does."""

import numpy as np
import pytest

from runner.config.schema import task_from
from runner.training import data
from tasks import Task

from .conftest import Compose


@pytest.fixture(scope="module")
def task(composed: Compose) -> Task:
    return task_from(composed("task.max_length=4"))


def test_batches_come_in_order_and_depend_on_their_step_alone(task: Task) -> None:
    with data.prefetched(task, 7, range(1, 30), 3) as batches:
        early = list(batches)
    with data.prefetched(task, 7, range(20, 30), 3) as batches:
        late = list(batches)
    assert len(early) == 29
    for first, second in zip(early[19:], late, strict=True):
        np.testing.assert_array_equal(first.inputs, second.inputs)
    expected = data.training_batch(task, 7, 20, 3)
    np.testing.assert_array_equal(late[0].targets, expected.targets)


def test_sizes_grow_over_the_curriculum_and_are_all_drawn_after_it(task: Task) -> None:
    def longest(step: int, curriculum: int | None) -> int:
        batches = [data.training_batch(task, seed, step, 1, curriculum) for seed in range(60)]
        return max(int(batch.mask.sum()) for batch in batches)

    # Lengths 1 to 4 take 4, 6, 8 and 10 steps.
    assert [longest(step, 90) for step in (1, 30, 60, 90, 900)] == [4, 6, 8, 10, 10]
    assert longest(1, None) == 10


def test_the_thread_draws_what_the_curriculum_says(task: Task) -> None:
    with data.prefetched(task, 7, range(1, 12), 3, 20) as batches:
        drawn = list(batches)
    for step, batch in enumerate(drawn, start=1):
        expected = data.training_batch(task, 7, step, 3, 20)
        np.testing.assert_array_equal(batch.inputs, expected.inputs)


def test_seeds_steps_and_streams_differ(task: Task) -> None:
    def first(seed: int, stream: int, number: int) -> bytes:
        return data.generator(seed, stream, number).bytes(16)

    places = [(0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2), (0, 2, 1)]
    assert len({first(*place) for place in places}) == len(places)


def test_an_error_in_the_thread_reaches_the_reader(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no such sequences")

    monkeypatch.setattr(data, "_block", broken)
    with (
        data.prefetched(task, 0, range(3), 2) as batches,
        pytest.raises(OSError, match="no such sequences"),
    ):
        next(batches)


def test_leaving_early_ends_the_thread(task: Task) -> None:
    import threading

    with data.prefetched(task, 0, range(10_000), 2) as batches:
        next(batches)
    assert "batches" not in {thread.name for thread in threading.enumerate()}
