"""Task, Keras model and optimizer from a composed configuration."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
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


def structure(model: keras.Model) -> str:
    """All that a model's compiled programs depend on: neither its weights, nor its numbers.

    Of the numbers of a machine (`runner.training.numbers`) it says which are given.
    """
    described = keras.saving.serialize_keras_object(model)
    for layer in described["config"]["layers"]:
        settings = layer["config"]
        if layer["class_name"] == "NeuralTuringMachine":
            given = dict.fromkeys(model.get_layer(settings["name"]).cell.numbers, "given")
            for place in (settings, settings["perturbation"]):
                place |= {name: given[name] for name in given if name in place}
    return json.dumps(described, sort_keys=True)


def optimizer_from(config: Any) -> keras.optimizers.Optimizer:
    """The optimizer that `config.optimizer` describes, without clipping by norm.

    Clipping by the global norm is the training step's, which reports the norm as well.
    """
    settings = plain(config.optimizer)
    name, rate = settings.pop("name"), settings.pop("learning_rate")
    curve = CURVES[settings.pop("schedule")]
    settings["learning_rate"] = (
        rate if curve is None else Falling(curve, rate, config.trainer.steps)
    )
    settings["clipvalue"] = settings.pop("clip_value")
    if name != "adam":  # A recipe sets it for whichever optimizer.
        del settings["amsgrad"]
    kind = {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[name]
    return kind(name="optimizer", **settings)


class Falling(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that falls to nothing over the training.

    Args:
        curve: a schedule of Keras, of the share of the training that is over.
        rate: at the start.
        steps: of the training.
    """

    def __init__(self, curve: Callable[..., Any], rate: float, steps: int) -> None:
        super().__init__()
        self.curve = curve
        self.rate: Any = rate
        self.inverse_steps: Any = 1 / np.float32(steps)

    def __call__(self, step: Any) -> Any:
        share = keras.ops.cast(step, "float32") * self.inverse_steps
        return self.curve(self.rate, decay_steps=1.0)(share)

    def take(self, rate: Any, inverse_steps: Any) -> None:
        """Fall from another rate, over other steps."""
        self.rate, self.inverse_steps = rate, inverse_steps

    @contextmanager
    def taking(self, rate: Any, inverse_steps: Any) -> Iterator[None]:
        """Do so inside of it, from tensors."""
        before = self.rate, self.inverse_steps
        self.take(rate, inverse_steps)
        try:
            yield
        finally:
            self.take(*before)

    def get_config(self) -> dict[str, Any]:
        return {"rate": self.rate, "inverse_steps": float(self.inverse_steps)}


CURVES = {
    "constant": None,
    "linear": partial(keras.optimizers.schedules.PolynomialDecay, end_learning_rate=0.0),
    "cosine": keras.optimizers.schedules.CosineDecay,
}


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Falling | None:
    """What its learning rate follows; None for a rate that is a variable of the optimizer."""
    schedule = optimizer._learning_rate
    return schedule if isinstance(schedule, Falling) else None


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
    settings = plain(config.controller)
    del settings["name"]
    module, _, name = settings.pop("_target_").rpartition(".")  # Checked in runner.config.targets.
    make = pkgutil.resolve_name(f"{module}:{name}")
    controller = make(input_dim, output_dim, **settings)
    return NeuralTuringMachine(
        task.output_dim,
        controller_model=controller,
        return_sequences=True,
        name="ntm",
        **plain(sizes),
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


def plain(node: Any) -> dict[str, Any]:
    """An OmegaConf node as plain Python values: Keras cannot save OmegaConf's."""
    return OmegaConf.to_container(node, resolve=True)  # type: ignore[return-value]
