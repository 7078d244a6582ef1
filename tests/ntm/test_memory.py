"""Equations 2 to 4 against NumPy loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ntm.memory import read, write
from tests import reference
from tests.ntm.backend import evaluate, gradients

BATCH, ROWS, WIDTH = 2, 5, 3


def random_arguments(heads: int) -> tuple[np.ndarray, ...]:
    """Memory, weights, erase and add."""
    rng = np.random.default_rng(heads)
    values = (
        rng.normal(size=(BATCH, ROWS, WIDTH)),
        rng.dirichlet(np.ones(ROWS), size=(BATCH, heads)),
        rng.uniform(size=(BATCH, heads, WIDTH)),
        rng.uniform(-1, 1, size=(BATCH, heads, WIDTH)),
    )
    return tuple(value.astype("float32") for value in values)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_read_is_equation_2(heads: int) -> None:
    memory, weights, *_ = random_arguments(heads)
    expected = [[reference.read(m, w) for w in ws] for m, ws in zip(memory, weights, strict=True)]
    np.testing.assert_allclose(evaluate(read, memory, weights), expected, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_write_is_equations_3_and_4(heads: int) -> None:
    given = random_arguments(heads)
    expected = [reference.write(*values) for values in zip(*given, strict=True)]
    np.testing.assert_allclose(evaluate(write, *given), expected, atol=1e-6)


def test_all_heads_erase_before_any_head_adds() -> None:
    """Two heads on one row: what the first adds is not erased by the second."""
    memory = np.full((1, ROWS, WIDTH), 5.0, "float32")
    weights = np.zeros((1, 2, ROWS), "float32")
    weights[:, :, 3] = 1
    erase = np.ones((1, 2, WIDTH), "float32")
    add = np.stack([np.full((1, WIDTH), 2.0), np.full((1, WIDTH), 0.5)], axis=1).astype("float32")
    written = evaluate(write, memory, weights, erase, add)
    np.testing.assert_array_equal(written[0, 3], [2.5] * WIDTH)
    np.testing.assert_array_equal(written[0, [0, 1, 2, 4]], memory[0, [0, 1, 2, 4]])


def test_the_order_of_the_heads_does_not_matter() -> None:
    memory, weights, erase, add = random_arguments(3)
    written = evaluate(write, memory, weights, erase, add)
    turned = evaluate(write, memory, weights[:, ::-1], erase[:, ::-1], add[:, ::-1])
    np.testing.assert_allclose(written, turned, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 3])
def test_gradients_of_write_and_read_are_those_of_the_reference(heads: int) -> None:
    given = random_arguments(heads)

    def both(memory: Any, weights: Any, erase: Any, add: Any) -> tuple[Any, Any]:
        return write(memory, weights, erase, add), read(memory, weights)

    outputs, grads = gradients(both, *given)
    rng = np.random.default_rng(7)
    cotangents = [rng.normal(size=output.shape).astype("float32") for output in outputs]
    for position in range(4):
        direction = np.random.default_rng(position).normal(size=given[position].shape)

        def total(
            step: float, position: int = position, direction: np.ndarray = direction
        ) -> float:
            moved = [value.astype(np.float64) for value in given]
            moved[position] += step * direction
            written = [reference.write(*values) for values in zip(*moved, strict=True)]
            taken = [[reference.read(m, w) for w in ws] for m, ws in zip(*moved[:2], strict=True)]
            return float(np.sum(cotangents[0] * written) + np.sum(cotangents[1] * taken))

        expected = (total(1e-5) - total(-1e-5)) / 2e-5
        actual = np.sum(grads[position] * direction)
        assert actual == pytest.approx(expected, rel=1e-3, abs=1e-4), position
