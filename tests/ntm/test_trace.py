"""What `trace` tells of the machine, against the equations in plain NumPy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests import reference
from tests.ntm.backend import assert_same, numpy
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    STEPS,
    as_reference,
    machine,
    random_inputs,
    random_mask,
)

READ_HEADS, WRITE_HEADS = 2, 3
STATE = ("outputs", "memory", "read_weights", "write_weights", "reads")
TOLD = ("key", "strength", "gate", "shift", "sharpness", "erase", "add")


def told(
    machine: reference.Machine, inputs: np.ndarray, before: reference.State
) -> list[np.ndarray]:
    """The instructions of one step, each (heads, size)."""
    raw, _ = machine.controller(np.concatenate([inputs, *before.reads]), before.controller)
    _, key, strength, gate, shift, sharpness, erase, add = map(np.array, machine.split(raw))
    shift = np.array([reference.softmax(each) for each in shift])
    return [
        np.tanh(key),
        reference.softplus(strength),
        reference.sigmoid(gate - [[machine.gate_offset_of(head)] for head in range(len(gate))]),
        shift,
        1 + reference.softplus(sharpness + machine.sharpness_offset),
        reference.sigmoid(erase),
        add,
    ]


def expected(
    machine: reference.Machine, sequence: np.ndarray, used: np.ndarray, state: reference.State
) -> list[list[np.ndarray]]:
    """For each step of a sequence, what `STATE` and `TOLD` name."""
    shapes = told(machine, np.zeros(INPUTS), machine.initial_state())
    steps, last = [], shapes
    for inputs, counts in zip(np.asarray(sequence, np.float64), used, strict=True):
        if counts:
            last = told(machine, inputs, state)
            state = machine.step(inputs, state)
        reading, writing = np.split(np.array(state.weights), [READ_HEADS])
        instructions = last if counts else [np.zeros_like(each) for each in shapes]
        steps.append(
            [state.output, state.memory, reading, writing, np.array(state.reads), *instructions]
        )
    return steps


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_it_is_what_the_machine_does(go_backwards: bool, zero_output_for_mask: bool) -> None:
    """Step by step in the order of running; nothing changes and nothing is told where masked."""
    layer = machine(
        "lstm",
        READ_HEADS,
        WRITE_HEADS,
        return_sequences=True,
        go_backwards=go_backwards,
        zero_output_for_mask=zero_output_for_mask,
    )
    inputs, mask = random_inputs(), random_mask()
    traced = layer.trace(inputs, mask=mask)
    assert_same([traced["outputs"]], [layer(inputs, mask=mask)])
    np.testing.assert_array_equal(traced["adds"], traced["add"])
    assert {*traced} == {*STATE, *TOLD, "adds"}
    alone = as_reference(layer, "lstm")
    for row in range(BATCH):
        sequence, used = inputs[row], mask[row]
        if go_backwards:
            sequence, used = sequence[::-1], used[::-1]
        steps = expected(alone, sequence, used, alone.initial_state())
        for name, values in zip((*STATE, *TOLD), zip(*steps, strict=True), strict=True):
            values = np.array(values)
            if name == "outputs" and zero_output_for_mask:
                values = values * used[:, None]
            assert_same([traced[name][row]], [values])


def test_it_begins_where_it_is_told() -> None:
    """The whole trace in two parts."""
    layer = machine("lstm", return_state=True)
    inputs = random_inputs()
    whole = layer.trace(inputs)
    _, *states = layer(inputs[:, :2])
    later = layer.trace(inputs[:, 2:], initial_state=states)
    for name, values in later.items():
        assert_same([values], [whole[name][:, 2:]])


def test_it_begins_at_the_state_of_a_stateful_layer_and_leaves_it_alone() -> None:
    layer = machine(batch=BATCH, stateful=True, return_sequences=True)
    inputs = random_inputs()
    layer(inputs)
    before = [numpy(state.value) for state in layer.states]
    outputs = layer.trace(inputs)["outputs"]
    assert_same([state.value for state in layer.states], before, relative=0)
    assert_same([outputs], [layer(inputs)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": np.ones((BATCH, STEPS - 1), bool)}, r"mask has the shape \(5, 3\).* \(5, 4\)"),
        ({"initial_state": [np.zeros((BATCH, 3))]}, "has 6 states .* but was given 1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        machine("lstm").trace(random_inputs(), **arguments)


def test_it_is_as_precise_as_the_layer() -> None:
    kinds = {None: "float32", "bfloat16": "float32", "float64": "float64"}
    if keras.backend.backend() == "jax":
        del kinds["float64"]  # JAX has it only where it is switched on.
    for dtype, expected in kinds.items():
        traced = machine(dtype=dtype).trace(random_inputs())
        assert {str(values.dtype) for values in traced.values()} == {expected}
