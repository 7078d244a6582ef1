"""Any Keras controller as one recurrent cell with a flat list of states."""

import contextlib
import itertools

import keras
from keras import ops

from ntm._keras import DropoutRNNCell, is_activation, layers_inside, takes_training
from ntm.recurrence import products

CONTRACT = (
    "a controller maps controller_input_dim to controller_output_dim (see "
    "ntm.controller_input_output_shape) and its last activation is linear"
)


class Controller(keras.layers.Layer):
    """A chain of stages, each a recurrent cell or a stateless layer, called once a time step.

    Args:
        model: a stateless layer or model; an RNN cell or `StackedRNNCells`; an RNN layer, whose
            cell is used; or a `Sequential` of these. The model's own `stateful`,
            `return_sequences` and batch size are irrelevant here: the NTM carries the state.
        output_dim: expected output width.

    Raises:
        ValueError: for a wrong width, a last activation that is not linear, or a model of a kind
            not listed.
    """

    def __init__(self, model, output_dim, **kwargs):
        super().__init__(**kwargs)
        self.output_dim = output_dim
        # Kept out of Keras' tracking: a recurrent layer is only the wrapping of the cell we use,
        # and its own state variables are not weights of the NTM.
        self.__dict__["model"] = model
        self.stages = [stage for part in _parts(model) for stage in _stages(part)]
        self._multiply = {}
        if not self.stages:
            raise ValueError(f"controller_model={model!r} has no layers: {CONTRACT}")
        _check_linear(self.stages[-1], model)

    @property
    def state_size(self):
        return [size for stage in self.stages for size in _state_sizes(stage)]

    def build(self, input_shape):
        shape = (None, input_shape[-1])
        declared = _built_input_dim(self.stages[0])
        if declared is not None and declared != shape[-1]:
            raise ValueError(
                f"controller {self.model.name!r} takes {declared} inputs, but this NTM feeds its "
                f"controller {shape[-1]} (the input and all read vectors): {CONTRACT}"
            )
        self.stage_input_dims = []
        for stage in self.stages:
            self.stage_input_dims.append(shape[-1])
            if not stage.built:
                stage.build(shape)
                stage.built = True
            shape = (None, _output_dim(stage, shape))
        if shape[-1] != self.output_dim:
            raise ValueError(
                f"controller {self.model.name!r} puts out {shape[-1]} values, but this NTM needs "
                f"{self.output_dim} (the output and every head's instructions): {CONTRACT}"
            )
        self.built = True

    @property
    def features_dim(self):
        """Width of the features that `call` returns."""
        return self.stage_input_dims[-1]

    def call(self, inputs, states, training=None):
        """One time step.

        Args:
            inputs: (B, input_dim).
            states: list of (B, size).
            training: passed to the stages that take it.

        Returns:
            `(outputs, features, states)`: (B, output_dim); (B, width), what the last stage makes
            them of; list of (B, size).
        """
        states, new_states = list(states), []
        for index, stage in enumerate(self.stages):
            features = inputs
            arguments = {"training": training} if takes_training(stage) else {}
            count = len(_state_sizes(stage))
            taken, states = states[:count], states[count:]
            if index in self._multiply:
                inputs, stepped = products.step(stage, self._multiply[index], inputs, taken)
            elif count:
                inputs, stepped = stage(inputs, _pack(stage, taken), **arguments)
            else:
                inputs, stepped = stage(inputs, **arguments), []
            new_states.extend(keras.tree.flatten(stepped))
        return inputs, features, new_states

    def products(self, variables, dtype):
        """The `ntm.recurrence.products.Product` of each stage that has one, by the stage's index.

        Args:
            variables: a product with any other variable is left out.
            dtype: the only one that all of a stage's numbers may have.
        """
        if self.compute_dtype != dtype:
            return {}
        wanted = {id(variable) for variable in variables}
        found = ((i, products.product_of(stage, dtype)) for i, stage in enumerate(self.stages))
        return {
            i: product
            for i, product in found
            if product and all(id(variable) in wanted for variable in product.variables)
        }

    @contextlib.contextmanager
    def multiplying(self, multiply):
        """Calls inside of it leave the products of some stages to functions, by stage."""
        before, self._multiply = self._multiply, multiply
        try:
            yield
        finally:
            self._multiply = before

    def get_initial_state(self, batch_size=None):
        states = []
        for stage in self.stages:
            if hasattr(stage, "get_initial_state"):
                states.extend(keras.tree.flatten(stage.get_initial_state(batch_size=batch_size)))
            else:
                states.extend(
                    ops.zeros((batch_size, size), dtype=self.compute_dtype)
                    for size in _state_sizes(stage)
                )
        return states

    @property
    def noise_sizes(self):
        """Widths of the noise on each state: none but on the last one of each recurrent cell.

        The last is the cell state of an LSTM, whose other state follows from it, and the only
        state of a GRU or a simple recurrent cell.
        """
        cells = (cell for stage in self.stages for cell in getattr(stage, "cells", [stage]))
        sizes = [_state_sizes(cell) for cell in cells]
        return [size for each in sizes for size in (*[0] * (len(each) - 1), *each[-1:])]

    def noisy(self, states, noise):
        """The states, a list of (B, size), with noise (B, the sum of `noise_sizes`) added."""
        ends = itertools.accumulate(self.noise_sizes)
        return [
            state + noise[:, end - size : end] if size else state
            for state, size, end in zip(states, self.noise_sizes, ends, strict=True)
        ]

    def prepare_dropout(self, batch_size):
        """Draw the dropout masks of all cells, one for the whole sequence."""
        for cell, input_dim in self._cells_with_dropout():
            cell.get_dropout_mask(ops.ones((batch_size, input_dim), dtype=cell.compute_dtype))
            cell.get_recurrent_dropout_mask(
                ops.ones((batch_size, _state_sizes(cell)[0]), dtype=cell.compute_dtype)
            )

    def reset_dropout(self):
        """Forget the masks, so that the next sequence draws its own."""
        for cell, _ in self._cells_with_dropout():
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()

    def cells_with_dropout(self):
        """The cells, in stacks too, that keep a dropout mask for the whole sequence."""
        return [cell for cell, _ in self._cells_with_dropout()]

    def _cells_with_dropout(self):
        for stage, dim in zip(self.stages, self.stage_input_dims, strict=True):
            for cell in getattr(stage, "cells", [stage]):
                if isinstance(cell, DropoutRNNCell):
                    yield cell, dim
                dim = _output_dim(cell, (None, dim))


def serialised(model):
    """A controller as it was given, or None, for a configuration.

    Without the shapes it was built for, and without how it was compiled: `build` gives its weights
    their path, and the NTM's own model trains them.
    """
    return _bare(keras.saving.serialize_keras_object(model))


def _bare(config):
    if isinstance(config, dict):
        left_out = ("build_config", "compile_config")
        return {key: _bare(value) for key, value in config.items() if key not in left_out}
    return [_bare(value) for value in config] if isinstance(config, list) else config


def _parts(model):
    """The layers of a Sequential, nested ones included, in order; anything else is one part."""
    if isinstance(model, keras.Sequential):
        return [part for layer in model.layers for part in _parts(layer)]
    if isinstance(model, keras.layers.InputLayer):
        return []
    return [model]


def _stages(part):
    if isinstance(part, keras.layers.RNN):
        if part.go_backwards:
            raise ValueError(
                f"controller_model has the layer {part.name!r} with go_backwards=True, but a "
                "controller sees one time step at a time: leave it False, or give go_backwards to "
                "the NTM"
            )
        return [part.cell]
    if isinstance(part, keras.Model) and any(
        isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional))
        for layer in layers_inside(part)
    ):
        raise ValueError(
            f"controller_model={part.name!r} is a functional model with recurrent layers in it, "
            "whose state the NTM cannot carry: give the recurrent layers as a keras.Sequential, "
            "or the cells as keras.layers.StackedRNNCells"
        )
    if isinstance(part, (keras.layers.Bidirectional, keras.layers.TimeDistributed)):
        raise ValueError(
            f"controller_model has a {type(part).__name__} layer, but a controller sees one time "
            "step at a time: use the layer inside it"
        )
    if not isinstance(part, keras.layers.Layer):
        raise ValueError(
            f"controller_model must be a Keras layer, model or RNN cell, not {part!r}: {CONTRACT}"
        )
    return [part]


def _check_linear(stage, model):
    last = stage
    while True:
        if hasattr(last, "cells"):
            last = last.cells[-1]
        elif isinstance(last, keras.Model) and last.layers:
            last = last.layers[-1]
        else:
            break
    activation = getattr(last, "activation", keras.activations.linear)
    name = getattr(activation, "__name__", type(activation).__name__)
    if activation is not keras.activations.linear and name != "linear":
        raise ValueError(
            f"the last activation of controller {model.name!r} is {name!r}, but it must be "
            f"'linear': the NTM applies its own activations to the heads' instructions ({CONTRACT})"
        )
    if is_activation(last) and not hasattr(last, "activation"):
        raise ValueError(
            f"the last layer of controller {model.name!r} is {type(last).__name__}, but the last "
            f"activation must be 'linear': {CONTRACT}"
        )


def _state_sizes(stage):
    if not hasattr(stage, "state_size"):
        return []
    return keras.tree.flatten(stage.state_size)


def _pack(stage, states):
    if isinstance(stage.state_size, int):
        return list(states)
    return keras.tree.pack_sequence_as(stage.state_size, list(states))


def _output_dim(stage, input_shape):
    if not hasattr(stage, "state_size"):
        return stage.compute_output_shape(input_shape)[-1]
    return getattr(stage, "output_size", None) or _state_sizes(stage)[0]


def _built_input_dim(stage):
    """The width that a stage was built for, or None if it takes any."""
    if not stage.built or not stage.weights:
        return None
    shape = getattr(stage, "input_shape", None) or (stage.get_build_config() or {}).get(
        "input_shape"
    )
    return shape[-1] if shape else None
