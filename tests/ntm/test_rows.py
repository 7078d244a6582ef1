"""Sums over memory rows against plain sums, for rows that fill whole lanes and rows that do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from ntm.rows import broadcast_rows, sum_rows
from tests.ntm.backend import assert_same, gradients

# Fewer than the lanes, not a multiple of them, one pass, and a sum too long for one pass.
ROWS = [1, 7, 20, 16, 128, 1024]


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape).astype("float32")


@pytest.mark.parametrize("rows", ROWS)
def test_total_is_the_sum_over_rows(rows: int) -> None:
    given = values(2, 3, rows)
    weighted = np.arange(1.0, 4.0, dtype="float32")[:, None]

    def scale(x: Any) -> Any:
        return x * ops.convert_to_tensor(weighted)

    (outputs,), (gradient,) = gradients(lambda x: scale(sum_rows(x)), given)
    assert_same([outputs], [given.sum(-1, keepdims=True) * weighted])
    # What each sum's weight in the loss is, every one of its rows has.
    _, (per_sum,) = gradients(scale, given[..., :1])
    assert_same([gradient], [np.repeat(per_sum, rows, axis=-1)])


@pytest.mark.parametrize("rows", ROWS)
def test_spread_repeats_and_its_gradient_sums(rows: int) -> None:
    given = values(2, 3, 1)
    (outputs,), (gradient,) = gradients(lambda x: broadcast_rows(x, rows), given)
    assert_same([outputs], [np.repeat(given, rows, axis=-1)])
    _, (per_row,) = gradients(lambda x: x + 0.0, np.repeat(given, rows, axis=-1))
    assert_same([gradient], [per_row.sum(-1, keepdims=True)])


def test_gradients_add_up_where_a_value_is_summed_twice() -> None:
    given = values(2, 2, 32)
    _, (gradient,) = gradients(lambda x: sum_rows(x * x) * sum_rows(x), given)
    sums, squares = given.sum(-1, keepdims=True), (given**2).sum(-1, keepdims=True)
    _, (weights,) = gradients(lambda x: x + 0.0, sums)
    assert_same([gradient], [weights * (2 * given * sums + squares)])
