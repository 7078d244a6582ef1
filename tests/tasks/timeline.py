"""A sequence written down step by step, to compare a task's batches with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks import Batch

# The input channels of a step, and its target bits; None is one that does not count.
Step = tuple[Sequence[float], Sequence[float | None]]


def assert_time_line(batch: Batch, row: int, time_line: Sequence[Step]) -> None:
    """Compare sequence `row` of a batch with its time line, followed by nothing but zeros."""
    padding = batch.inputs.shape[1] - len(time_line)
    inputs = [list(step) for step, _ in time_line]
    targets = [[bit or 0 for bit in bits] for _, bits in time_line]
    weights = [[bit is not None for bit in bits] for _, bits in time_line]
    for actual, steps in zip(batch[:3], (inputs, targets, weights), strict=True):
        expected = np.pad(np.array(steps, np.float32), ((0, padding), (0, 0)))
        np.testing.assert_array_equal(actual[row], expected)
        assert actual.dtype == np.float32
    expected_mask = [True] * len(time_line) + [False] * padding
    np.testing.assert_array_equal(batch.mask[row], expected_mask)
