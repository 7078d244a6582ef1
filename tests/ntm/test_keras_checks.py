"""Keras' own checks of a layer: built, called, saved, trained, cast, with several arguments."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras.src.testing import TestCase

from ntm import NeuralTuringMachine, NTMCell, controller_input_output_shape

# Of Keras' own training step.
pytestmark = pytest.mark.filterwarnings("ignore:.shuffle=True. was passed:UserWarning")

INPUT_SHAPE = (3, 2, 4)
UNITS, SMALL = 2, {"units": 2, "n_width": 5, "m_depth": 3}


def lstm_controller() -> keras.Sequential:
    _, outputs = controller_input_output_shape(4, UNITS, 3, 5, 3, 1, 1)
    return keras.Sequential(
        [keras.layers.LSTM(3, return_sequences=True), keras.layers.Dense(outputs)]
    )


# Arguments, the shape of what is put out, and how many weights and generators of random numbers.
CASES: dict[str, tuple[dict[str, Any], Any, int, int]] = {
    # The weights: kernel and bias of the controller, and the projection of the read vectors.
    "last output": ({}, (3, UNITS), 3, 0),
    "all outputs, without a projection": (
        {"return_sequences": True, "read_to_output": False, "go_backwards": True},
        (3, 2, UNITS),
        2,
        0,
    ),
    "states of two heads, unrolled": (
        {"return_state": True, "read_heads": 2, "unroll": True},
        ((3, UNITS), (3, UNITS), (3, 15), (3, 15), (3, 6)),
        3,
        0,
    ),
    # Beside the projection, three weights of an LSTM, which has a generator, and two of a layer.
    "recurrent controller": ({"controller_model": lstm_controller}, (3, UNITS), 6, 1),
    # Beside the default's three, three of the readout's LSTM and the kernel of what it adds.
    "random, with a readout": (
        {"dropout": 0.2, "perturbation": {"memory_noise": 0.1}, "readout_units": 2, "seed": 1},
        (3, UNITS),
        7,
        2,
    ),
}


class Checks(TestCase):
    """The methods alone; pytest calls them from the function below."""

    __test__ = False

    def runTest(self) -> None:  # noqa: N802
        """Only there because a `TestCase` needs one."""


@pytest.mark.parametrize(
    "case",
    [case if "random" in case else pytest.param(case, marks=pytest.mark.slow) for case in CASES],
)
def test_keras_finds_nothing_wrong_with_the_layer(case: str) -> None:
    arguments, output_shape, weights, generators = CASES[case]
    arguments = dict(arguments)
    if "controller_model" in arguments:
        arguments["controller_model"] = arguments["controller_model"]()
    checks = Checks()
    checks.run_layer_test(
        NeuralTuringMachine,
        {**SMALL, **arguments},
        input_shape=INPUT_SHAPE,
        expected_output_shape=output_shape,
        expected_num_trainable_weights=weights,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=generators,
        supports_masking=True,
        run_training_check=not arguments.get("return_state"),
    )


def test_keras_finds_nothing_wrong_with_the_cell_in_its_own_layer() -> None:
    checks = Checks()
    checks.run_layer_test(
        keras.layers.RNN,
        {"cell": NTMCell(**SMALL), "return_sequences": True},
        input_shape=INPUT_SHAPE,
        expected_output_shape=(3, 2, UNITS),
        expected_num_trainable_weights=3,
        expected_num_non_trainable_weights=0,
        supports_masking=True,
        custom_objects={"NTMCell": NTMCell},
    )
