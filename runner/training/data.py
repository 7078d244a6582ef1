"""Training batches, drawn in a background thread so that the step never waits for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tasks import Batch, Task

# So many batches are drawn at a time, all at once, and so many times ahead. One by one each would
# take several times as long, most of it to get back into the caches that a training step has taken.
TOGETHER, AHEAD = 16, 2
# Streams of random numbers of a run, apart from each other whatever its seed.
TRAINING, SCHEDULED, FINAL, PLATEAU = 0, 1, 2, 3


def generator(seed: int, stream: int, number: int = 0) -> np.random.Generator:
    """The generator of one batch or evaluation: a function of its place in the run alone.

    So a resumed run goes on with exactly the sequences that it would have seen.
    """
    return np.random.default_rng([seed, stream, number])


def training_batch(
    task: Task,
    seed: int,
    step: int,
    batch_size: int,
    curriculum: int | None = None,
    began: int = 0,
) -> Batch:
    """The batch of one training step, padded to the task's longest training sequence.

    curriculum: steps over which the sizes that are drawn grow from the smallest to all of the
        training range, None for all of it from the start.
    began: step before the first one of this curriculum.
    """
    block, place = divmod(step, TOGETHER)
    return _block(task, seed, block, batch_size, curriculum, began)[place]


def _block(
    task: Task, seed: int, block: int, batch_size: int, curriculum: int | None, began: int
) -> list[Batch]:
    """The batches of the steps from `block * TOGETHER` on."""
    reach = np.ones(TOGETHER)
    if curriculum:
        steps = np.arange(block * TOGETHER, (block + 1) * TOGETHER)
        reach = np.clip((steps - began) / curriculum, 0.0, 1.0)
    drawn = task.training_sample(generator(seed, TRAINING, block), batch_size, reach)
    parts = [slice(i * batch_size, (i + 1) * batch_size) for i in range(TOGETHER)]
    return [drawn.part(part) for part in parts]


@contextmanager
def prefetched(
    task: Task,
    seed: int,
    steps: range,
    batch_size: int,
    curriculum: int | None = None,
    began: int = 0,
    prepare: Callable[[Batch], Any] = lambda batch: batch,
) -> Iterator[Iterator[Any]]:
    """The batches of these steps in order. An error in the thread is raised where it is read.

    prepare: what to make of each batch, in the thread, such as to copy it to a device.
    """
    batches: queue.Queue[Any] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                batches.put(item, timeout=0.1)
                return
            except queue.Full:
                continue

    def draw() -> None:
        try:
            for block in range(steps.start // TOGETHER, -(-steps.stop // TOGETHER)):
                drawn = _block(task, seed, block, batch_size, curriculum, began)
                wanted = range(block * TOGETHER, (block + 1) * TOGETHER)
                ready = [
                    prepare(batch)
                    for step, batch in zip(wanted, drawn, strict=True)
                    if step in steps
                ]
                put(ready)
                if stop.is_set():
                    return
        except BaseException as error:
            put([error])

    def read() -> Iterator[Any]:
        left = len(steps)
        while left:
            for item in batches.get():
                if isinstance(item, BaseException):
                    raise item
                yield item
                left -= 1

    thread = threading.Thread(target=draw, name="batches", daemon=True)
    thread.start()
    try:
        yield read()
    finally:
        stop.set()
        thread.join()
