"""The trained machine as plain data, for a program that has no Keras: sizes, stages, weights."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from ntm import addressing, heads, memory

# What `machine.js` knows by the same names.
ACTIVATIONS = (
    *("linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "softplus", "elu", "selu", "gelu"),
    *("silu", "softsign"),
)
# Layers that change nothing outside of training.
NOTHING = (keras.layers.InputLayer, keras.layers.Dropout, keras.layers.GaussianNoise)
SIZES = (
    *("units", "n_width", "m_depth", "shift_range", "read_heads", "write_heads", "gate_offset"),
    *("write_gate_offset", "write_shift_offset", "sharpness_offset", "row_codes"),
)


class UnknownLayerError(Exception):
    """A layer that the page cannot run; its text names it."""


class _Weights:
    """Arrays one after another, each known by where it begins and how long it is."""

    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.size = 0

    def add(self, variable: Any) -> dict[str, int] | None:
        if variable is None:
            return None
        values = np.ravel(keras.ops.convert_to_numpy(variable)).astype("<f4")
        place = {"start": self.size, "size": values.size}
        self.parts.append(values)
        self.size += values.size
        return place

    def base64(self) -> str:
        values = np.concatenate(self.parts) if self.parts else np.zeros(0, "<f4")
        return base64.b64encode(values.tobytes()).decode()


def exported(cell: Any, activation: str) -> tuple[dict[str, Any], str]:
    """A machine for `machine.js`.

    cell: a built `ntm.NTMCell`.
    activation: what is applied to its outputs, a name of `ACTIVATIONS`.

    Returns:
        `(data, weights)`: what JSON can hold, and all weights as float32 in base64. In `data`, an
        array of weights is a map of `start` and `size`, and `unknown` lists in words the layers
        that cannot be run; if there are any, nothing of the controller is in it.
    """
    weights = _Weights()
    data: dict[str, Any] = {
        "cell": _sizes(cell),
        "activation": activation,
        "controller": [],
        "readout": [],
        "projection": None,
        "unknown": [],
    }
    try:
        data["cell"]["activation"] = _activation(cell.activation, "the machine's output")
    except UnknownLayerError as error:
        data["unknown"].append(str(error))
    for name, network in zip(("controller", "readout"), cell.networks, strict=False):
        for stage in network.stages:
            try:
                data[name] += list(_stages(stage, weights))
            except UnknownLayerError as error:
                data["unknown"].append(str(error))
    if cell.projection is not None:
        data["projection"] = _dense(cell.projection, weights)
    if data["unknown"]:
        weights, data["controller"], data["readout"], data["projection"] = _Weights(), [], [], None
    return data, weights.base64()


def _sizes(cell: Any) -> dict[str, Any]:
    return {
        **{name: getattr(cell, name) for name in SIZES},
        "input_dim": cell.input_dim,
        "shortest": addressing.SHORTEST_IN_MACHINE,
        "parameter_bound": heads.PARAMETER_BOUND,
        "initial_memory": memory.INITIAL_MEMORY,
        "fastest_wave": memory.FASTEST_WAVE,
        "wave_range": memory.WAVE_RANGE,
    }


def _stages(stage: Any, weights: _Weights) -> Iterator[dict[str, Any]]:
    """A stage of `ntm.controller.Controller` as the page's: several for a stack of cells."""
    kind = type(stage)
    if kind is keras.layers.StackedRNNCells:
        for cell in stage.cells:
            yield from _stages(cell, weights)
    elif kind is keras.layers.LSTMCell:
        yield _lstm(stage, weights)
    elif kind is keras.layers.Dense and not stage.quantization_mode:
        yield _dense(stage, weights)
    elif kind is keras.layers.Activation:
        yield {
            "kind": "activation",
            "name": stage.name,
            "activation": _activation(stage.activation, f"the layer {stage.name!r}"),
        }
    elif kind not in NOTHING:
        raise UnknownLayerError(f"{kind.__name__} (the layer {stage.name!r})")


def _dense(layer: Any, weights: _Weights) -> dict[str, Any]:
    return {
        "kind": "dense",
        "name": layer.name,
        "activation": _activation(layer.activation, f"the layer {layer.name!r}"),
        "kernel": weights.add(layer.kernel),
        "bias": weights.add(layer.bias),
    }


def _lstm(cell: Any, weights: _Weights) -> dict[str, Any]:
    where = f"the layer {cell.name!r}"
    return {
        "kind": "lstm",
        "name": cell.name,
        "units": cell.units,
        "activation": _activation(cell.activation, where),
        "recurrent_activation": _activation(cell.recurrent_activation, where),
        "kernel": weights.add(cell.kernel),
        "recurrent_kernel": weights.add(cell.recurrent_kernel),
        "bias": weights.add(cell.bias),
    }


def _activation(function: Any, where: str) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    if name not in ACTIVATIONS or function is not keras.activations.get(name):
        raise UnknownLayerError(f"the activation {name} of {where}")
    return str(name)
