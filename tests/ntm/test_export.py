"""A loop on TensorFlow leaves Keras for other runtimes: SavedModel, and ONNX of any controller."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.ntm.backend import BACKEND, assert_same, numpy
from tests.ntm.machines import BATCH, INPUTS, STEPS, machine, random_inputs, random_mask

if BACKEND != "tensorflow":
    pytest.skip("the loop of another backend", allow_module_level=True)

import tensorflow as tf

OPTIONS: dict[str, dict[str, Any]] = {
    "last": {},
    "states": {"return_sequences": True, "return_state": True, "go_backwards": True},
    "zeros": {"return_sequences": True, "zero_output_for_mask": True, "readout_units": 2},
}


def exported(masked: bool, **arguments: Any) -> keras.Model:
    """Of unknown batch size and length."""
    seen = keras.Input((None, INPUTS))
    return keras.Model(
        seen, machine("lstm", **arguments)(keras.layers.Masking()(seen) if masked else seen)
    )


def batches() -> list[np.ndarray]:
    """All steps, gaps, none, and another batch size and length."""
    full = random_inputs()
    return [full, full * random_mask()[:, :, None], np.zeros_like(full), full[:2, : STEPS - 1]]


def nodes_of(graph: Any) -> dict[str, Any]:
    return {node.name: node for node in graph.as_graph_def().node}


@pytest.mark.parametrize("masked", [False, True])
def test_a_converter_finds_arrays_of_nothing_but_what_the_loop_puts_out(masked: bool) -> None:
    """What converters to ONNX understand: lists that go into the loop are reserved, not filled."""
    model = exported(masked, return_sequences=True)
    graph = tf.function(model).get_concrete_function(tf.TensorSpec((None, None, INPUTS))).graph
    nodes = nodes_of(graph)
    loops = [node for node in nodes.values() if node.op in ("While", "StatelessWhile")]
    assert len(loops) == 1
    lists = {
        nodes[name.partition(":")[0]].op
        for name in loops[0].input
        if nodes[name.partition(":")[0]].op.startswith("TensorList")
    }
    assert lists == {"TensorListReserve"}


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("masked", [False, True])
def test_onnxruntime_computes_the_same(masked: bool, options: str, tmp_path: Path) -> None:
    missing = [name for name in ("onnxruntime", "tf2onnx") if not importlib.util.find_spec(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: pip install onnxruntime tf2onnx")
    import onnxruntime

    model = exported(masked, **OPTIONS[options])
    model(random_inputs())
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for inputs in batches():
        outputs = session.run(None, {session.get_inputs()[0].name: inputs})
        assert_same(outputs, keras.tree.flatten(model(inputs)))


@pytest.mark.slow
def test_a_saved_model_computes_the_same(tmp_path: Path) -> None:
    model = exported(True, return_sequences=True)
    model(random_inputs())
    model.export(tmp_path / "model", format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(tmp_path / "model")
    for inputs in batches():
        assert_same([loaded.serve(inputs)], [model(inputs)])


@pytest.mark.slow
def test_xla_takes_a_batch_of_a_size_known_only_when_it_compiles() -> None:
    """Arrays of outputs whose shape is not known when the function is traced."""
    model = exported(True, return_sequences=True)
    compiled = tf.function(
        model, jit_compile=True, input_signature=[tf.TensorSpec((None, STEPS, INPUTS))]
    )
    for inputs in batches()[:3]:
        assert numpy(compiled(inputs)).shape[0] == BATCH
        assert_same([compiled(inputs)], [model(inputs)])
