"""How the controller's output is split and activated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from keras import ops

from ntm import controller_input_output_shape
from ntm.heads import HeadParameters, head_parameter_sizes, parse
from tests.ntm.backend import gradients, numpy
from tests.reference import Machine, sigmoid, softmax, softplus


@pytest.mark.parametrize(
    ("read_heads", "write_heads", "expected"),
    [
        # The seed's copy machine: 10 inputs, 8 outputs, M 20, S 3. Each head takes a key, a
        # strength, a gate, three shifts and a sharpness; each write head two vectors more.
        (1, 1, (10 + 20, 8 + 2 * (20 + 1 + 1 + 3 + 1) + 2 * 20)),
        (3, 1, (10 + 60, 8 + 4 * 26 + 40)),
        (1, 4, (10 + 20, 8 + 5 * 26 + 160)),
    ],
)
def test_controller_widths(read_heads: int, write_heads: int, expected: tuple[int, int]) -> None:
    for rows in (1, 128, 5000):
        assert (
            controller_input_output_shape(10, 8, 20, rows, 3, read_heads, write_heads) == expected
        )


def test_the_seeds_dense_controller_has_3100_weights() -> None:
    inputs, outputs = controller_input_output_shape(10, 8, 20, 128, 3, 1, 1)
    assert (inputs + 1) * outputs == 3100


SHIFT_OFFSET = np.array([0.3, 0.0, -0.8], "float32")
ACTIVATIONS: dict[str, Any] = {
    "key": np.tanh,
    "strength": softplus,
    "gate": lambda x: sigmoid(x - 1.5),
    "shift_weights": lambda x: softmax(x + SHIFT_OFFSET),
    "sharpness": lambda x: 1 + softplus(x + 0.7),
    "erase": sigmoid,
    "add": lambda x: x,
}


def raw_output(read_heads: int, write_heads: int, spread: float) -> tuple[np.ndarray, int]:
    _, width = controller_input_output_shape(0, 2, 4, 6, 3, read_heads, write_heads)
    rng = np.random.default_rng(0)
    return rng.normal(scale=spread, size=(5, width)).astype("float32"), width


@pytest.mark.parametrize("heads", [(1, 1), (2, 1), (1, 3)])
def test_split_is_the_documented_layout_and_activations(heads: tuple[int, int]) -> None:
    raw, _ = raw_output(*heads, spread=2.0)
    offsets = 1.5, 0.7, ops.convert_to_tensor(SHIFT_OFFSET)
    output, parameters = parse(ops.convert_to_tensor(raw), 2, 4, 3, *heads, *offsets)
    machine = Machine(lambda x, s: (x, s), 2, 6, 4, 3, *heads)
    for row in range(len(raw)):
        parts = machine.split(raw[row].astype(np.float64))
        np.testing.assert_allclose(numpy(output)[row], parts[0], atol=1e-6)
        for name, field, linear in zip(HeadParameters._fields, parameters, parts[1:], strict=True):
            expected = [ACTIVATIONS[name](value) for value in linear]
            np.testing.assert_allclose(numpy(field)[row], expected, atol=1e-5, err_msg=name)


def test_sizes_are_those_of_the_fields() -> None:
    raw, width = raw_output(2, 3, spread=1.0)
    _, parameters = parse(ops.convert_to_tensor(raw), 2, 4, 3, 2, 3, 0.0, 0.0, 0.0)
    sizes = head_parameter_sizes(4, 3, 2, 3)
    assert [int(np.prod(field.shape[1:])) for field in parameters] == list(sizes)
    assert sum(sizes) + 2 == width


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e6])
def test_parameters_keep_their_ranges_however_large_the_output(spread: float) -> None:
    raw, _ = raw_output(2, 2, spread)

    def fields_and_output(raw: Any) -> tuple[Any, ...]:
        output, parameters = parse(raw, 2, 4, 3, 2, 2, 0.0, 0.0, 0.0)
        return *parameters, output

    (*fields, output), (grad,) = gradients(fields_and_output, raw)
    given = HeadParameters(*fields)
    ranges = {
        "key": (-1, 1),
        "strength": (0, 21),
        "gate": (0, 1),
        "shift_weights": (0, 1),
        "sharpness": (1, 22),
        "erase": (0, 1),
        "add": (-20, 20),
    }
    for name, (lowest, highest) in ranges.items():
        values = getattr(given, name)
        assert (values >= lowest).all(), name
        assert (values <= highest).all(), name
    np.testing.assert_allclose(given.shift_weights.sum(-1), 1, atol=1e-6)
    assert np.isfinite(grad).all()
    # The output itself is neither bounded nor activated.
    np.testing.assert_array_equal(output, raw[:, :2])
