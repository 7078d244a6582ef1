"""The noise of training as one object, and the schedule that some of it follows."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from ntm import NeuralTuringMachine, NTMCell, Perturbation, Schedule
from tests.ntm.backend import assert_same, layer_gradients, numpy
from tests.ntm.machines import BATCH, INPUTS, UNITS, built, machine, random_inputs

FIELDS = [field.name for field in dataclasses.fields(Perturbation)]
SHARES = ("weighting_leak", "weighting_drift")


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), True, "much"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_number_that_makes_no_sense_is_refused(field: str, value: Any) -> None:
    wanted = "a share from 0 to below 1" if field in SHARES else "a number of at least 0"
    with pytest.raises(ValueError, match=f"{field} must be {wanted}, not {value!r}"):
        Perturbation(**{field: value})
    with pytest.raises(ValueError, match=f"{field} must be {wanted}"):
        NeuralTuringMachine(UNITS, perturbation={field: value})


def test_a_share_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="must be a share"):
        Perturbation(weighting_leak=1)


def test_nothing_is_random_by_itself() -> None:
    assert not Perturbation()
    for field in FIELDS:
        assert Perturbation(**{field: 0.1}), field
    assert NeuralTuringMachine(UNITS).perturbation == Perturbation()


def test_a_layer_keeps_what_it_was_given() -> None:
    given = Perturbation(read_noise=0.1)
    layer = NeuralTuringMachine(UNITS, perturbation=given)
    given.read_noise = 0.2
    assert layer.perturbation == Perturbation(read_noise=0.1)


def test_its_fields_are_stated_by_name() -> None:
    with pytest.raises(TypeError):
        Perturbation(0.1)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "message"),
    [(0.1, "perturbation must be an ntm.Perturbation"), ({"state_nose": 1}, "field 'state_nose'")],
)
def test_what_is_no_perturbation_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NeuralTuringMachine(UNITS, perturbation=given)


def test_it_needs_neither_keras_nor_a_backend() -> None:
    code = "import ntm, sys; ntm.Perturbation(read_noise=1); print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "torch", "numpy"} & set(run.stdout.split())


@pytest.mark.parametrize("kind", [NeuralTuringMachine, NTMCell])
def test_a_layer_takes_the_names_of_before_and_names_those_of_today(kind: Any) -> None:
    with pytest.warns(FutureWarning) as warned:
        layer = kind(UNITS, state_noise=0.2, perturbation=Perturbation(read_noise=0.1))
    (message,) = (str(each.message) for each in warned)
    assert message == "state_noise is called perturbation.state_noise now"
    assert layer.perturbation == Perturbation(state_noise=0.2, read_noise=0.1)


def test_a_schedule_multiplies_what_it_names() -> None:
    """As if the layer had been made with the products, and only inside of it."""
    inputs = random_inputs()
    kinds: dict[str, tuple[dict[str, Any], dict[str, Any], Schedule]] = {
        "clip": ({"state_clip_norm": 2.0}, {"state_clip_norm": 0.02}, Schedule(clip_scale=0.01)),
        "clutter": (
            {"perturbation": Perturbation(memory_clutter=2.0), "seed": 1},
            {"perturbation": Perturbation(memory_clutter=0.5), "seed": 1},
            Schedule(clutter_scale=0.25),
        ),
    }
    for whole, part, schedule in kinds.values():
        layer, small = machine("lstm", **whole), machine("lstm", **part)
        expected = layer_gradients(small, inputs, training=True)
        with layer.scheduled(schedule):
            found = layer_gradients(layer, inputs, training=True)
        assert_same(found[0], expected[0])
        assert_same(found[1], expected[1])
        outside = layer_gradients(machine("lstm", **whole), inputs, training=True)
        differences = [
            np.abs(one - other).max() for one, other in zip(outside[1], found[1], strict=True)
        ]
        assert max(differences) > 1e-3
        assert layer.cell.schedule == Schedule()


def test_an_error_inside_leaves_the_schedule_as_it_was() -> None:
    layer = built(None)
    with pytest.raises(ValueError, match="width"), layer.scheduled(Schedule(clip_scale=3.0)):
        layer.cell.step(
            numpy(np.zeros((BATCH, INPUTS + 1), "float32")),
            layer.cell.unpack(layer.get_initial_state(BATCH)),
        )
    assert layer.cell.schedule == Schedule()
