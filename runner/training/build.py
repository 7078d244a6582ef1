"""Task, Keras model and optimizer from a composed configuration."""

from __future__ import annotations

import json
import pkgutil
from typing import Any

import keras
from omegaconf import OmegaConf

from ntm import NeuralTuringMachine, controller_input_output_shape
from tasks import Task


def model_from(config: Any, task: Task) -> keras.Model:
    """The model that `config.model` names: (B, T, input_dim) to probabilities (B, T, output_dim).

    Its last layer is the sigmoid named `probabilities`; what goes into it are the logits. All
    layers are named, so that two runs lie on one chart. Weights are drawn from `config.seed`.
    """
    keras.utils.set_random_seed(config.seed)
    inputs = keras.Input((None, task.input_dim), name="inputs")
    logits = {"ntm": _ntm, "lstm": _lstm, "dense": _dense}[config.model.name](config, task, inputs)
    outputs = keras.layers.Activation("sigmoid", name="probabilities")(logits)
    return keras.Model(inputs, outputs, name=config.model.name)


def logits_model(model: keras.Model) -> keras.Model:
    """The same model, sharing its weights, up to the logits."""
    return keras.Model(model.inputs, model.get_layer("probabilities").input, name="logits")


def description(model: keras.Model) -> str:
    """All that a model's compiled programs depend on: its architecture, not its weights."""
    return json.dumps(keras.saving.serialize_keras_object(model), sort_keys=True)


def optimizer_from(config: Any) -> keras.optimizers.Optimizer:
    """The optimizer that `config.optimizer` describes, without clipping by norm.

    Clipping by the global norm is the training step's, which reports the norm as well.
    """
    settings = _plain(config.optimizer)
    name = settings.pop("name")
    settings["learning_rate"] = _schedule(
        settings.pop("schedule"), settings.pop("learning_rate"), config.trainer.steps
    )
    settings["clipvalue"] = settings.pop("clip_value")
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[name]
    return kind(name="optimizer", **settings)


def _schedule(name: str, rate: float, steps: int) -> Any:
    if name == "constant":
        return rate
    if name == "linear":
        return keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def _ntm(config: Any, task: Task, inputs: Any) -> Any:
    sizes = config.ntm
    input_dim, output_dim = controller_input_output_shape(
        task.input_dim,
        task.output_dim,
        sizes.m_depth,
        sizes.n_width,
        sizes.shift_range,
        sizes.read_heads,
        sizes.write_heads,
    )
    settings = _plain(config.controller)
    del settings["name"]
    module, _, name = settings.pop("_target_").rpartition(".")  # Checked in runner.config.targets.
    make = pkgutil.resolve_name(f"{module}:{name}")
    controller = make(input_dim, output_dim, **settings)
    return NeuralTuringMachine(
        task.output_dim,
        controller_model=controller,
        return_sequences=True,
        name="ntm",
        **_plain(sizes),
    )(inputs)


def _lstm(config: Any, task: Task, inputs: Any) -> Any:
    """LSTM layers, the last as wide as the output; cells in `RNN`, which XLA can compile."""
    widths = [*config.model.units, task.output_dim]
    activations = ["tanh"] * len(config.model.units) + ["linear"]
    for index, (width, activation) in enumerate(zip(widths, activations, strict=True)):
        cell = keras.layers.LSTMCell(width, activation=activation, name="cell")
        inputs = keras.layers.RNN(cell, return_sequences=True, name=f"lstm_{index}")(inputs)
    return inputs


def _dense(config: Any, task: Task, inputs: Any) -> Any:
    for index, width in enumerate(config.model.units):
        layer = keras.layers.Dense(width, activation=config.model.activation, name=f"dense_{index}")
        inputs = layer(inputs)
    return keras.layers.Dense(task.output_dim, name="logits")(inputs)


def _plain(node: Any) -> dict[str, Any]:
    """An OmegaConf node as plain Python values: Keras cannot save OmegaConf's."""
    return OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]
