"""Equations 5 to 9 against NumPy loops, and the properties that a weighting must keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from ntm import addressing
from tests import reference
from tests.ntm.backend import evaluate, gradients

BATCH, ROWS, WIDTH, HEADS = 2, 6, 4, 3
SHIFT_RANGES = [1, 2, 3, 4, 5, 6]


def random_weightings(rng: np.random.Generator, *shape: int) -> np.ndarray:
    powers = np.exp(2 * rng.normal(size=shape))
    return (powers / powers.sum(-1, keepdims=True)).astype("float32")


def random_arguments(shift_range: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """All arguments of `address`, in order."""
    rng = np.random.default_rng(seed)
    arguments = {
        "memory": rng.normal(size=(BATCH, ROWS, WIDTH)),
        "previous": random_weightings(rng, BATCH, HEADS, ROWS),
        "key": rng.uniform(-1, 1, size=(BATCH, HEADS, WIDTH)),
        "strength": rng.uniform(0, 5, size=(BATCH, HEADS, 1)),
        "gate": rng.uniform(size=(BATCH, HEADS, 1)),
        "shift_weights": random_weightings(rng, BATCH, HEADS, shift_range),
        "sharpness": rng.uniform(1, 4, size=(BATCH, HEADS, 1)),
    }
    return {name: value.astype("float32") for name, value in arguments.items()}


def each_head() -> Iterator[tuple[int, int]]:
    return ((b, h) for b in range(BATCH) for h in range(HEADS))


def by_reference(equation: Callable[..., Any], given: dict[str, np.ndarray]) -> np.ndarray:
    """An equation of one head applied to every head of every sequence, in float64."""
    out = np.zeros((BATCH, HEADS, ROWS))
    for b, h in each_head():
        values = []
        for name, value in given.items():
            one = value[b] if name == "memory" else value[b, h]
            is_number = name in ("strength", "gate", "sharpness")
            values.append(np.asarray(one[0] if is_number else one, np.float64))
        out[b, h] = equation(*values)
    return out


def some_of(given: dict[str, np.ndarray], *names: str) -> dict[str, np.ndarray]:
    return {name: given[name] for name in names}


def one_hot(row: int, size: int = ROWS) -> np.ndarray:
    return np.broadcast_to(np.eye(size, dtype="float32")[row], (BATCH, HEADS, size)).copy()


def scalar(value: float) -> np.ndarray:
    return np.full((BATCH, HEADS, 1), value, "float32")


def test_content_weighting_is_equations_5_and_6() -> None:
    given = some_of(random_arguments(), "memory", "key", "strength")
    expected = by_reference(reference.content_weighting, given)
    np.testing.assert_allclose(
        evaluate(addressing.content_weighting, *given.values()), expected, atol=1e-6
    )


def test_interpolate_is_equation_7() -> None:
    given = some_of(random_arguments(), "previous", "gate")
    given = {"content": given["previous"][:, ::-1], **given}
    expected = by_reference(reference.interpolate, given)
    np.testing.assert_allclose(
        evaluate(addressing.interpolate, *given.values()), expected, atol=1e-6
    )


@pytest.mark.parametrize("shift_range", SHIFT_RANGES)
def test_shift_is_equation_8(shift_range: int) -> None:
    given = some_of(random_arguments(shift_range), "previous", "shift_weights")
    expected = by_reference(reference.shift, given)
    np.testing.assert_allclose(evaluate(addressing.shift, *given.values()), expected, atol=1e-6)


def test_sharpen_is_equation_9() -> None:
    given = some_of(random_arguments(), "previous", "sharpness")
    expected = by_reference(reference.sharpen, given)
    np.testing.assert_allclose(evaluate(addressing.sharpen, *given.values()), expected, atol=1e-6)


@pytest.mark.parametrize("shift_range", SHIFT_RANGES)
def test_address_is_the_chain(shift_range: int) -> None:
    given = random_arguments(shift_range, seed=shift_range)
    expected = by_reference(reference.address, given)
    actual = evaluate(addressing.address, *given.values())
    np.testing.assert_allclose(actual, expected, atol=1e-6)
    np.testing.assert_allclose(actual.sum(-1), 1, atol=1e-6)


@pytest.mark.parametrize("shift_range", [1, 2, 3, 6])
def test_gradients_of_address_are_those_of_the_reference(shift_range: int) -> None:
    """Central differences of the NumPy loops in float64, in a random direction of each argument."""
    given = random_arguments(shift_range, seed=3)
    (weightings,), grads = gradients(addressing.address, *given.values())
    cotangent = np.random.default_rng(7).normal(size=weightings.shape).astype("float32")
    rng = np.random.default_rng(4)
    for position, (name, value) in enumerate(given.items()):
        direction = rng.normal(size=value.shape)

        def total(step: float, name: str = name, direction: np.ndarray = direction) -> float:
            moved = {**given, name: given[name].astype(np.float64) + step * direction}
            return float(np.sum(cotangent * by_reference(reference.address, moved)))

        expected = (total(1e-5) - total(-1e-5)) / 2e-5
        actual = np.sum(grads[position] * direction)
        assert actual == pytest.approx(expected, rel=1e-3, abs=1e-4), name


@pytest.mark.parametrize("shift_range", SHIFT_RANGES)
def test_a_one_hot_shift_rotates_exactly(shift_range: int) -> None:
    previous = random_arguments()["previous"]
    assert list(addressing.shift_offsets(shift_range)) == reference.offsets(shift_range)
    for entry, offset in enumerate(reference.offsets(shift_range)):
        actual = evaluate(addressing.shift, previous, one_hot(entry, shift_range))
        np.testing.assert_array_equal(actual, np.roll(previous, offset, axis=-1))


def test_the_last_of_three_shifts_moves_the_focus_one_row_on_in_a_circle() -> None:
    for row in range(ROWS):
        moved = evaluate(addressing.shift, one_hot(row), one_hot(2, 3))
        np.testing.assert_array_equal(moved, one_hot((row + 1) % ROWS))


def test_extreme_gates_select() -> None:
    given = random_arguments()
    content, previous = given["previous"][:, ::-1], given["previous"]
    for gate, expected in [(0.0, previous), (1.0, content)]:
        actual = evaluate(addressing.interpolate, content, previous, scalar(gate))
        np.testing.assert_allclose(actual, expected, atol=1e-7)


def test_strength_zero_attends_to_all_rows_and_a_large_one_to_the_row_of_the_key() -> None:
    memory = random_arguments()["memory"]
    key = np.stack([memory[:, 1], memory[:, 4], 0.01 * memory[:, 2]], axis=1)
    uniform = evaluate(addressing.content_weighting, memory, key, scalar(0))
    np.testing.assert_allclose(uniform, 1 / ROWS, atol=1e-6)
    focused = evaluate(addressing.content_weighting, memory, key, scalar(1e3))
    assert focused.argmax(-1).tolist() == [[1, 4, 2]] * BATCH
    np.testing.assert_allclose(focused.max(-1), 1, atol=1e-6)


def test_sharpness_one_changes_nothing_and_more_concentrates() -> None:
    weights = random_arguments()["previous"]
    np.testing.assert_allclose(evaluate(addressing.sharpen, weights, scalar(1)), weights, atol=1e-6)
    largest = weights.max(-1)
    for sharpness in (1.5, 3.0, 10.0):
        sharpened = evaluate(addressing.sharpen, weights, scalar(sharpness)).max(-1)
        assert (sharpened > largest).all()
        largest = sharpened
    extreme = evaluate(addressing.sharpen, weights, scalar(1e4))
    expected = np.eye(ROWS)[weights.argmax(-1)]
    np.testing.assert_allclose(extreme, expected, atol=1e-6)


def test_rows_of_equal_weight_stay_equal() -> None:
    weights = np.zeros((BATCH, HEADS, ROWS), "float32")
    weights[..., [1, 4]] = 0.5
    for sharpness in (1.0, 1e3, 1e4):
        actual = evaluate(addressing.sharpen, weights, scalar(sharpness))
        np.testing.assert_allclose(actual, weights, atol=1e-6)


def test_a_zero_key_and_zero_memory_have_no_preference() -> None:
    given = random_arguments()
    for memory, key in [
        (given["memory"], np.zeros_like(given["key"])),
        (np.zeros_like(given["memory"]), given["key"]),
    ]:
        actual = evaluate(addressing.content_weighting, memory, key, scalar(1e4))
        np.testing.assert_allclose(actual, 1 / ROWS, atol=1e-6)


EXTREMES: dict[str, dict[str, np.ndarray]] = {
    "zero memory": {"memory": np.zeros((BATCH, ROWS, WIDTH))},
    "almost empty memory": {"memory": np.full((BATCH, ROWS, WIDTH), 1e-6)},
    "one empty row": {"memory": np.eye(ROWS, WIDTH)[None].repeat(BATCH, 0)},
    "zero key": {"key": np.zeros((BATCH, HEADS, WIDTH))},
    "tiny key": {"key": np.full((BATCH, HEADS, WIDTH), 1e-20)},
    "zero memory and key": {
        "memory": np.zeros((BATCH, ROWS, WIDTH)),
        "key": np.zeros((BATCH, HEADS, WIDTH)),
    },
    "one-hot weights": {
        "previous": one_hot(2),
        "gate": np.zeros((BATCH, HEADS, 1)),
        "shift_weights": one_hot(2, 3),
    },
    "no weight at all": {
        "previous": np.zeros((BATCH, HEADS, ROWS)),
        "gate": np.zeros((BATCH, HEADS, 1)),
    },
}


@pytest.mark.parametrize("size", [1.0, 1e3, 1e4])
@pytest.mark.parametrize("name", EXTREMES)
def test_values_and_gradients_are_finite(name: str, size: float) -> None:
    given = {**random_arguments(), **EXTREMES[name]}
    given["strength"] = given["sharpness"] = scalar(size)
    (weightings,), grads = gradients(addressing.address, *given.values())
    assert np.isfinite(weightings).all()
    np.testing.assert_allclose(weightings.sum(-1), 1, atol=1e-5)
    for argument, grad in zip(given, grads, strict=True):
        assert np.isfinite(grad).all(), argument
