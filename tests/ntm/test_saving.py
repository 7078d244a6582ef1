"""Machines saved, loaded in a new process that knows nothing but `ntm`, cloned and copied."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import ntm
from ntm import NeuralTuringMachine
from tests.ntm.backend import assert_same, numpy
from tests.ntm.machines import BATCH, CONTROLLERS, INPUTS, built, machine, random_inputs, widths

LOAD = """
import sys
import keras
import numpy as np
import ntm

model = keras.models.load_model(sys.argv[1])
inputs = np.load(sys.argv[2])
outputs = [keras.ops.convert_to_numpy(output) for output in model(inputs)]
np.savez(sys.argv[3], *outputs, paths=[weight.path for weight in model.weights])
"""


def load_elsewhere(
    model: keras.Model, inputs: np.ndarray, folder: Path
) -> tuple[list[np.ndarray], list[str]]:
    """Outputs and weight paths of a model saved here and loaded in another process."""
    model.save(folder / "model.keras")
    np.save(folder / "inputs.npy", inputs)
    files = [str(folder / name) for name in ("model.keras", "inputs.npy", "outputs.npz")]
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", LOAD, *files], env=environment, cwd=folder, check=True)
    with np.load(folder / "outputs.npz") as saved:
        paths = saved["paths"].tolist()
        return [saved[f"arr_{index}"] for index in range(len(saved.files) - 1)], paths


def everything() -> keras.Model:
    """A machine for each kind of controller, and a stack with several options, side by side."""
    seen = keras.Input(batch_shape=(BATCH, None, INPUTS))
    outputs = [built(make(*widths()), batch=BATCH)(seen) for make in CONTROLLERS.values()]
    first = NeuralTuringMachine(
        4,
        n_width=7,
        m_depth=3,
        shift_range=4,
        read_heads=2,
        write_heads=2,
        activation="tanh",
        read_to_output=False,
        dropout=0.3,
        return_sequences=True,
        name="first",
    )
    second = NeuralTuringMachine(
        2, n_width=5, m_depth=3, readout_units=3, stateful=True, name="second"
    )
    masked = keras.layers.Masking()(seen)
    return keras.Model(seen, [*outputs, second(keras.layers.Bidirectional(first)(masked))])


@pytest.mark.slow
def test_a_new_process_loads_every_machine(tmp_path: Path) -> None:
    model = everything()
    inputs = random_inputs(steps=2)
    inputs[1, 1:] = 0
    outputs, paths = load_elsewhere(model, inputs, tmp_path)
    assert_same(outputs, model(inputs))
    assert len(set(paths)) == len(paths)
    # Keras leaves out the name of a `Bidirectional` in the paths of a loaded one.
    originals = [weight.path for weight in model.weights]
    assert all(one.endswith(other) for one, other in zip(originals, paths, strict=True))


def test_a_copy_of_the_configuration_has_every_argument() -> None:
    arguments = {
        "units": 4,
        "n_width": 7,
        "m_depth": 3,
        "shift_range": 4,
        "read_heads": 2,
        "write_heads": 3,
        "read_to_output": False,
        "readout_units": 5,
        "dropout": 0.25,
        "seed": 9,
        "gradient_checkpointing": 6,
        "return_sequences": True,
        "return_state": True,
        "go_backwards": True,
        "stateful": True,
        "unroll": True,
        "zero_output_for_mask": True,
        "name": "machine",
        "trainable": False,
    }
    layer = NeuralTuringMachine(**arguments, activation="tanh", dtype="mixed_bfloat16")
    copy = NeuralTuringMachine.from_config(layer.get_config())
    for name, value in arguments.items():
        assert getattr(copy, name) == value, name
    assert copy.activation is keras.activations.tanh
    assert copy.dtype_policy == copy.cell.dtype_policy == layer.dtype_policy
    assert copy.get_config() == layer.get_config()


@pytest.mark.parametrize("kind", ["functional model", "stateful double LSTM", "dense"])
def test_a_clone_has_weights_of_its_own(kind: str) -> None:
    layer = built(CONTROLLERS[kind](*widths()), batch=BATCH)
    model = keras.Sequential([keras.Input(batch_shape=(BATCH, None, INPUTS)), layer])
    clone = keras.models.clone_model(model)
    inputs = random_inputs()
    expected = numpy(model(inputs))
    assert np.abs(numpy(clone(inputs)) - expected).max() > 1e-3
    clone.set_weights(model.get_weights())
    assert_same([clone(inputs)], [expected])
    clone.set_weights([np.zeros_like(weight) for weight in clone.get_weights()])
    assert_same([model(inputs)], [expected])


def test_weights_go_over_to_another_number_of_rows(tmp_path: Path) -> None:
    small, large = machine("lstm", n_width=5), machine("lstm", n_width=9)
    large.set_weights([np.zeros_like(weight) for weight in large.get_weights()])
    model = keras.Sequential([keras.Input((None, INPUTS)), small])
    other = keras.Sequential([keras.Input((None, INPUTS)), large])
    model.save_weights(tmp_path / "rows.weights.h5")
    other.load_weights(tmp_path / "rows.weights.h5")
    assert_same(other.get_weights(), model.get_weights())
    assert large.trace(random_inputs())["memory"].shape[2] == 9


def test_a_shared_controller_stays_shared(tmp_path: Path) -> None:
    shared = keras.layers.Dense(widths()[1], name="shared")
    seen = keras.Input((None, INPUTS))
    model = keras.Model(seen, [built(shared)(seen), built(shared)(seen)])
    model.save(tmp_path / "shared.keras")
    loaded = keras.models.load_model(tmp_path / "shared.keras")
    inputs = random_inputs()
    assert_same(loaded(inputs), model(inputs))
    assert len(loaded.weights) == len(model.weights)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method:UserWarning")
@pytest.mark.parametrize(
    "kind",
    [
        "none",
        *(
            pytest.param(k, marks=pytest.mark.slow)
            for k in ("dense", "sequential of LSTM and dense")
        ),
    ],
)
def test_a_quantized_model_loads_as_it_was(kind: str, tmp_path: Path) -> None:
    """With the layers that the machine has made itself, which no configuration names."""
    layer = built(CONTROLLERS[kind](*widths()), readout_units=3, return_sequences=True)
    model = keras.Sequential([keras.Input((None, INPUTS)), layer])
    inputs = random_inputs()
    exact = numpy(model(inputs))
    model.quantize("int8")
    expected = numpy(model(inputs))
    # It is another model, but not by much; a weight of int8 for each kernel of a dense layer.
    assert 0 < np.abs(expected - exact).max() < 0.1 * np.abs(exact).max()
    assert [weight.dtype for weight in layer.weights].count("int8") == 3
    assert_same([layer.trace(inputs)["outputs"]], [expected])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_same([loaded(inputs)], [expected], relative=0)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert_same([clone(inputs)], [expected], relative=0)


def test_what_is_not_quantized_has_no_word_of_it_in_its_configuration() -> None:
    assert "quantized" not in machine().get_config()


@pytest.mark.slow
def test_an_error_of_loading_without_the_package_says_what_the_documentation_quotes(
    tmp_path: Path,
) -> None:
    """Keras imports no package by itself; its message names the class and the module."""
    keras.Sequential([keras.Input((None, INPUTS)), machine()]).save(tmp_path / "model.keras")
    code = f"import keras; keras.models.load_model({str(tmp_path / 'model.keras')!r})"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode
    quoted = "Could not locate class 'NeuralTuringMachine'"
    assert quoted in run.stderr
    assert "'module': 'ntm.layer'" in run.stderr
    for text in (ntm.__doc__, NeuralTuringMachine.__doc__):
        assert text
        assert quoted in text
        assert "import ntm" in text
