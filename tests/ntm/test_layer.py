"""The recurrent layer against the equations in plain NumPy, and against itself."""

from __future__ import annotations

import inspect
import itertools
import pydoc
import re
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from ntm import NeuralTuringMachine, NTMCell, Perturbation
from tests import reference
from tests.ntm.backend import assert_same, layer_gradients, numpy
from tests.ntm.machines import (
    BATCH,
    INPUTS,
    KINDS,
    ROWS,
    STEPS,
    UNITS,
    WIDTH,
    as_reference,
    built,
    flattened,
    machine,
    random_inputs,
    random_mask,
    widths,
)


def expected_run(
    machine: reference.Machine,
    inputs: np.ndarray,
    mask: np.ndarray | None = None,
    go_backwards: bool = False,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Outputs (B, T, units), masked steps repeating, and final states, one sequence at a time.

    Each sequence is run alone and without its masked steps.
    """
    outputs, states = [], []
    for row, sequence in enumerate(inputs):
        used = np.ones(len(sequence), bool) if mask is None else mask[row]
        if go_backwards:
            sequence, used = sequence[::-1], used[::-1]
        passed = [machine.initial_state(), *machine.run(sequence[used])]
        outputs.append([passed[count].output for count in np.cumsum(used)])
        states.append(flattened(passed[-1]))
    return np.array(outputs), [np.array(part) for part in zip(*states, strict=True)]


@pytest.mark.parametrize(
    ("kind", "heads", "shift_range", "arguments"),
    [
        ("dense", (1, 1), 3, {}),
        ("dense", (2, 3), 4, {"read_to_output": False}),
        ("double_dense", (1, 2), 1, {"gate_offset": 0.0}),
        ("double_dense", (3, 1), ROWS, {"gate_offset": -1.5}),
        ("lstm", (2, 1), 2, {}),
        ("lstm", (1, 1), 5, {"read_to_output": False}),
        ("lstm", (2, 1), 3, {"row_codes": 0.7}),
        ("double_dense", (1, 1), 3, {"sharpness_offset": 2.0}),
        ("lstm", (2, 2), 3, {"write_gate_offset": 3.0}),
        ("lstm", (2, 2), 3, {"write_shift_offset": 2.0}),
        ("dense", (1, 1), 2, {"write_shift_offset": -1.0, "write_gate_offset": 1.0}),
        ("double_dense", (1, 2), 4, {"write_shift_offset": 1.5}),
        ("lstm", (1, 1), 1, {"write_shift_offset": 1.5}),
        ("lstm", (1, 2), 3, {"readout_units": 4}),
        ("double_dense", (2, 1), 3, {"readout_units": 2}),
        ("dense", (1, 1), 3, {"readout_units": 3, "read_to_output": False}),
    ],
)
def test_outputs_and_states_are_those_of_the_equations(
    kind: str, heads: tuple[int, int], shift_range: int, arguments: dict[str, Any]
) -> None:
    layer = machine(
        kind, *heads, shift_range, return_sequences=True, return_state=True, **arguments
    )
    inputs = random_inputs()
    outputs, *states = layer(inputs)
    expected, expected_states = expected_run(as_reference(layer, kind), inputs)
    assert_same([outputs], [expected])
    assert_same(states, expected_states)


@pytest.mark.parametrize("kind", KINDS)
def test_no_head_follows_the_readout(kind: str) -> None:
    """With other weights of the readout the output is another and all else the same."""
    layer = machine(kind, readout_units=4, return_sequences=True, return_state=True)
    inputs = random_inputs()
    found = []
    for factor in (1.0, -2.0):
        for weight in layer.cell.readout.weights:
            weight.assign(factor * weight)
        outputs, *states = layer(inputs)
        found.append((numpy(outputs), [numpy(state) for state in states]))
    (one, states), (other, other_states) = found
    assert np.abs(one[:, 1:] - other[:, 1:]).min() > 1e-6
    count = len(states) - len(layer.cell.readout.state_size)
    assert_same(states[1:count], other_states[1:count])
    assert all(
        (state != other).any()
        for state, other in zip(states[count:], other_states[count:], strict=True)
    )


@pytest.mark.parametrize(
    ("go_backwards", "zero_output_for_mask", "return_sequences"),
    list(itertools.product([False, True], repeat=3)),
)
def test_a_masked_sequence_is_as_it_were_alone(
    go_backwards: bool, zero_output_for_mask: bool, return_sequences: bool
) -> None:
    layer = machine(
        "lstm", 2, 1, go_backwards=go_backwards, zero_output_for_mask=zero_output_for_mask,
        return_sequences=return_sequences, return_state=True,
    )  # fmt: skip
    inputs, mask = random_inputs(), random_mask()
    outputs, *states = layer(inputs, mask=mask)
    machine_alone = as_reference(layer, "lstm")
    expected, expected_states = expected_run(machine_alone, inputs, mask, go_backwards)
    if zero_output_for_mask:
        used = mask[:, ::-1] if go_backwards else mask
        expected = expected * used[:, :, None]
    assert_same([outputs], [expected if return_sequences else expected[:, -1]])
    assert_same(states, expected_states)


def test_padding_is_never_seen() -> None:
    """Outputs, states and gradients are the same whatever the masked steps hold."""
    layer = machine("lstm", return_sequences=True, return_state=True, zero_output_for_mask=True)
    inputs = random_inputs()
    mask = np.arange(STEPS) < np.array([4, 2, 3, 0, 1])[:, None]
    results = []
    for padding in (0.0, 1e3):
        padded = np.where(mask[:, :, None], inputs, np.float32(padding))
        outputs, gradients = layer_gradients(layer, padded, mask=mask, training=True)
        results.append([*outputs, *gradients])
    assert_same(results[1], results[0], relative=1e-6)


def test_masked_steps_before_the_first_repeat_the_output_of_the_initial_state() -> None:
    """Also where the whole batch begins later, or has no step at all, which changes nothing."""
    layer = machine("lstm", return_sequences=True, return_state=True)
    rng = np.random.default_rng(1)
    initial = [rng.uniform(size=(BATCH, size)) for size in layer.state_size]
    for begin in (2, STEPS):
        mask = np.arange(STEPS) >= np.full((BATCH, 1), begin)
        for training in (False, True):
            outputs, *states = layer(
                random_inputs(), initial_state=initial, mask=mask, training=training
            )
            expected = np.repeat(initial[0][:, None], begin, axis=1)
            assert_same([outputs[:, :begin]], [expected])
    assert_same(states, initial)


@pytest.mark.parametrize("kind", ["dense", "lstm"])
def test_stateful_chunks_are_one_pass(kind: str) -> None:
    layer = machine(kind, batch=BATCH, stateful=True, return_sequences=True, return_state=True)
    inputs, mask = random_inputs(), random_mask()
    expected, expected_states = expected_run(as_reference(layer, kind), inputs, mask)
    for _ in range(2):
        outputs = []
        for start, end in [(0, 1), (1, 3), (3, STEPS)]:
            output, *states = layer(inputs[:, start:end], mask=mask[:, start:end])
            outputs.append(numpy(output))
        assert_same([np.concatenate(outputs, axis=1)], [expected])
        assert_same(states, expected_states)
        layer.reset_state()
    initial = layer.get_initial_state(BATCH)
    assert_same([state.value for state in layer.states], initial)
    assert numpy(initial[1]).min() > 0  # Not the zeros that Keras would write.


def test_stateful_last_outputs_are_one_pass_where_the_last_chunk_is_masked() -> None:
    layer = machine(batch=BATCH, stateful=True)
    inputs = random_inputs()
    mask = np.arange(STEPS) < np.array([4, 2, 3, 0, 1])[:, None]
    expected, _ = expected_run(as_reference(layer, "dense"), inputs, mask)
    layer(inputs[:, :2], mask=mask[:, :2])
    assert_same([layer(inputs[:, 2:], mask=mask[:, 2:])], [expected[:, -1]])


def test_a_state_can_be_passed_on() -> None:
    layer = machine("lstm", return_sequences=True, return_state=True)
    inputs = random_inputs()
    expected, *expected_states = layer(inputs)
    first, *states = layer(inputs[:, :2])
    second, *states = layer(inputs[:, 2:], initial_state=states)
    assert_same([np.concatenate([numpy(first), numpy(second)], axis=1)], [expected])
    assert_same(states, expected_states)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
def test_unrolled_is_the_same(go_backwards: bool, zero_output_for_mask: bool) -> None:
    arguments: dict[str, Any] = {
        "go_backwards": go_backwards,
        "zero_output_for_mask": zero_output_for_mask,
        "return_sequences": True,
        "return_state": True,
    }
    inputs, mask = random_inputs(), random_mask()
    looped = machine("lstm", **arguments)(inputs, mask=mask)
    unrolled = machine("lstm", unroll=True, **arguments)(inputs, mask=mask)
    assert_same(unrolled, looped)


HEADS = [(1, 1), (2, 1), (1, 3)]
QUICK = [("dense", (1, 1), True), ("double_dense", (2, 1), False), ("lstm", (1, 3), True)]


@pytest.mark.parametrize(
    ("kind", "heads", "return_sequences"),
    [
        pytest.param(*case, marks=() if case in QUICK else pytest.mark.slow)
        for case in itertools.product(KINDS, HEADS, [True, False])
    ],
)
def test_the_cell_in_a_stock_rnn_is_the_layer(
    kind: str, heads: tuple[int, int], return_sequences: bool
) -> None:
    """Outputs, final states and all gradients, on a random masked batch; some with a readout."""
    arguments: dict[str, Any] = {"return_sequences": return_sequences, "return_state": True}
    layer = machine(kind, *heads, readout_units=4 if heads == (1, 3) else 0, **arguments)
    stock = keras.layers.RNN(layer.cell, **arguments)
    stock.build((None, None, INPUTS))
    inputs, mask = random_inputs(), random_mask()
    ours, our_gradients = layer_gradients(layer, inputs, mask=mask, training=True)
    theirs, their_gradients = layer_gradients(stock, inputs, mask=mask, training=True)
    assert_same(ours, theirs)
    assert_same(our_gradients, their_gradients)
    assert any(np.abs(gradient).max() > 1e-3 for gradient in our_gradients[1:])


def test_bidirectional() -> None:
    inputs, mask = random_inputs(), random_mask()
    both = keras.layers.Bidirectional(machine("lstm", return_sequences=True))
    outputs = numpy(both(inputs, mask=mask))
    forward = numpy(both.forward_layer(inputs, mask=mask))
    backward = numpy(both.backward_layer(inputs, mask=mask))
    assert both.backward_layer.go_backwards
    assert_same([outputs], [np.concatenate([forward, backward[:, ::-1]], axis=-1)])


def test_a_mask_reaches_the_layers_behind() -> None:
    inputs, mask = random_inputs(), random_mask()
    inputs[~mask] = 0
    layer = machine(return_sequences=True)
    last = keras.layers.LSTM(2)
    through = last(layer(keras.layers.Masking()(inputs)))
    explicit = last(layer(inputs, mask=mask), mask=mask)
    assert_same([through], [explicit])


def test_symbolic_shapes() -> None:
    _, hidden = widths(2, 1)
    cell = keras.layers.LSTMCell(hidden, activation="linear")
    layer = built(cell, 2, 1, return_sequences=True, return_state=True)
    outputs, *states = layer(keras.Input((None, INPUTS)))
    assert outputs.shape == (None, None, UNITS)
    sizes = [UNITS, ROWS * WIDTH, 3 * ROWS, 2 * WIDTH, hidden, hidden]
    assert [state.shape for state in states] == [(None, size) for size in sizes]
    assert layer.compute_output_shape((7, 9, INPUTS))[0] == (7, 9, UNITS)


def test_an_encoder_hands_its_memory_to_a_decoder() -> None:
    """A functional model of unknown batch size and length, with symbolic states."""
    encoder = machine("lstm", return_state=True)
    decoder = machine("lstm", return_sequences=True)
    source, target = keras.Input((None, INPUTS)), keras.Input((None, INPUTS))
    _, *states = encoder(source)
    model = keras.Model([source, target], decoder(target, initial_state=states))
    for batch, length in [(2, 3), (3, 5)]:
        sources, targets = random_inputs(batch, length), random_inputs(batch, length + 1, seed=1)
        _, *states = encoder(sources)
        assert_same([model([sources, targets])], [decoder(targets, initial_state=states)])


def test_a_stack_of_two_is_one_after_the_other() -> None:
    first = machine("dense", return_sequences=True)
    second = NeuralTuringMachine(2, n_width=4, m_depth=3, read_heads=2)
    stack = keras.Sequential([keras.Input((None, INPUTS)), first, second])
    inputs = random_inputs()
    assert_same([stack(inputs)], [second(first(inputs))])
    paths = [variable.path for variable in stack.weights]
    assert len(set(paths)) == len(paths) == 6


def test_the_smallest_machine() -> None:
    """One row, one column, one shift: there is nothing to choose, but nothing to warn of either."""
    layer = machine(n_width=1, m_depth=1, shift_range=1, return_sequences=True)
    inputs = random_inputs()
    assert_same([layer(inputs)], [expected_run(as_reference(layer, "dense"), inputs)[0]])


def test_weights_fit_any_number_of_rows() -> None:
    small, large = machine(n_width=4), machine(n_width=50)
    large.set_weights(small.get_weights())
    inputs = random_inputs()
    assert large.trace(inputs)["memory"].shape == (BATCH, STEPS, 50, WIDTH)
    assert_same([large(inputs)], [expected_run(as_reference(large, "dense"), inputs)[0][:, -1]])


def test_cost_does_not_grow_with_the_square_of_the_rows() -> None:
    """A step over 200,000 rows: anything of N x N would need 160 GB."""
    layer = NeuralTuringMachine(UNITS, n_width=200_000, m_depth=2)
    assert np.isfinite(numpy(layer(random_inputs(1, 1)))).all()


def test_the_seeds_number_of_parameters() -> None:
    layer = NeuralTuringMachine(8, read_to_output=False)
    layer.build((None, None, 10))
    assert layer.count_params() == 3100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be .* at least 1, not 0"),
        ({"n_width": -1}, "n_width must be .* at least 1, not -1"),
        ({"m_depth": 2.5}, "m_depth must be a whole number .* not 2.5"),
        ({"shift_range": 0}, "shift_range must be .* at least 1, not 0"),
        ({"read_heads": 0}, "read_heads must be .* at least 1, not 0"),
        ({"write_heads": True}, "write_heads must be a whole number .* not True"),
        ({"readout_units": -1}, "readout_units must be .* at least 0, not -1"),
        ({"readout_units": 2.5}, "readout_units must be a whole number .* not 2.5"),
        ({"n_width": 4, "shift_range": 5}, "shift_range=5 is more than the n_width=4"),
        ({"gate_offset": float("nan")}, "gate_offset must be a finite number, not nan"),
        ({"gate_offset": True}, "gate_offset must be a finite number, not True"),
        ({"write_gate_offset": float("inf")}, "write_gate_offset must be a finite number, not inf"),
        ({"write_shift_offset": "on"}, "write_shift_offset must be a finite number, not .on."),
        ({"sharpness_offset": float("inf")}, "sharpness_offset must be a finite number, not inf"),
        ({"row_codes": True}, "row_codes must be a finite number, not True"),
        ({"dropout": 1.0}, "dropout must be .* not 1.0"),
        ({"dropout": -0.1}, "dropout must be .* not -0.1"),
        ({"gradient_checkpointing": 0}, "gradient_checkpointing must be .* at least 1, not 0"),
    ],
)
def test_wrong_sizes_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuralTuringMachine(**{"units": 3, **arguments})


def test_memory_lies_alike_in_states_and_in_a_step() -> None:
    """Columns below each other, rows side by side; turned for `trace` alone."""
    layer = machine("lstm", return_state=True)
    states = layer.get_initial_state(BATCH)
    memory = np.arange(BATCH * WIDTH * ROWS, dtype="float32").reshape(BATCH, WIDTH, ROWS) / 100
    states[1] = ops.convert_to_tensor(memory.reshape(BATCH, -1))
    unpacked = layer.cell.unpack(states)
    np.testing.assert_array_equal(numpy(unpacked.memory), memory)
    assert_same(layer.cell.pack(unpacked), states, relative=0)
    _, _, after, *_ = layer(random_inputs()[:, :1], initial_state=states)
    traced = layer.trace(random_inputs()[:, :1], initial_state=states)["memory"]
    assert_same([traced[:, 0]], [numpy(after).reshape(BATCH, WIDTH, ROWS).transpose(0, 2, 1)])


def test_every_argument_is_shown_explained_kept_and_copied() -> None:
    """One list, in `NTMCell`, of which all else follows."""
    shown = inspect.signature(NeuralTuringMachine).parameters
    (*_, of_rnn) = shown.values()
    names = [name for name in shown if name != of_rnn.name]
    assert of_rnn.kind is of_rnn.VAR_KEYWORD
    assert names[0] == "units"
    of_cell = dict(inspect.signature(NTMCell).parameters)
    of_both = [name for name in names if name != "gradient_checkpointing"]
    assert [name for name in of_cell if name in shown] == of_both
    assert all(shown[name].default == of_cell[name].default for name in of_both)
    by_place = [name for name in names if shown[name].kind is not of_rnn.KEYWORD_ONLY]
    assert by_place[-2:] == ["seed", "gradient_checkpointing"]
    help_text = pydoc.render_doc(NeuralTuringMachine)
    for name in names:
        assert re.search(rf"\b{name}: ", help_text), name
    layer = NeuralTuringMachine(3)
    assert set(names) <= layer.get_config().keys()
    given = (4, 7, 3, 2, None, 2, 3, "tanh", False, 5, 1.0, 0.5, 0.2, {"read_noise": 1}, 2.0, 0.1)
    layer = NeuralTuringMachine(*given, 6, 9, write_gate_offset=1.5, write_shift_offset=2.5)
    expected = dict(zip(by_place, (*given, 6, 9), strict=True))
    expected |= {"activation": keras.activations.tanh, "perturbation": Perturbation(read_noise=1)}
    expected |= {"write_gate_offset": 1.5, "write_shift_offset": 2.5}
    for each in (layer, NeuralTuringMachine.from_config(layer.get_config())):
        for name, value in expected.items():
            if name != "controller_model":
                assert getattr(each, name) == value, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "missing a required argument: 'units'"),
        ({"units": 3, "rows": 5}, "Unrecognized keyword arguments .*'rows'"),
    ],
)
def test_arguments_that_are_missing_or_unknown(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        NeuralTuringMachine(**arguments)
