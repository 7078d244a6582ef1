"""Training batches, drawn in a background thread so that the step never waits for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tasks import Batch, Task

# Batches drawn ahead. A batch takes far less time to draw than to train on.
AHEAD = 8
# Streams of random numbers of a run, apart from each other whatever its seed.
TRAINING, SCHEDULED, FINAL = 0, 1, 2


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
    reach = min(1.0, (step - began) / curriculum) if curriculum else 1.0
    return task.training_sample(generator(seed, TRAINING, step), batch_size, reach)


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
            for step in steps:
                batch = training_batch(task, seed, step, batch_size, curriculum, began)
                put(prepare(batch))
                if stop.is_set():
                    return
        except BaseException as error:
            put(error)

    def read() -> Iterator[Any]:
        for _ in steps:
            item = batches.get()
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=draw, name="batches", daemon=True)
    thread.start()
    try:
        yield read()
    finally:
        stop.set()
        thread.join()
