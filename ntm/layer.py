"""The Neural Turing Machine as a Keras recurrent layer."""

import contextlib
import inspect
import operator
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import keras
from keras import ops

from ntm import checks
from ntm._keras import check_input
from ntm.cell import ARGUMENTS, NTMCell, arguments_from
from ntm.quantization import QUANTIZED
from ntm.recurrence import loop
from ntm.renamed import RENAMED
from ntm.rows import turned
from ntm.training import noise


def _signature():
    """Parameters of the layer: those of the cell, one of its own, and those of `RNN`."""
    *of_cell, others = inspect.signature(NTMCell.__init__).parameters.values()
    own = inspect.Parameter(
        "gradient_checkpointing", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None
    )
    by_name = [each for each in of_cell if each.kind is each.KEYWORD_ONLY]
    by_place = of_cell[: len(of_cell) - len(by_name)]
    return inspect.Signature([*by_place, own, *by_name, others.replace(name="rnn_kwargs")])


SIGNATURE = _signature()
P = ParamSpec("P")


def _with_signature(
    of_cell: Callable[P, Any],  # noqa: ARG001 (for type checkers and editors)
) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Gives the layer's constructor the parameters that it has, for `inspect`, `help` and types."""

    def decorate(constructor: Any) -> Any:
        constructor.__signature__ = SIGNATURE
        return constructor

    return decorate


def _with_arguments_of_cell(layer):
    """Puts the cell's arguments into a layer's docstring, for `help`."""
    if layer.__doc__ and NTMCell.__doc__:  # python -OO has none
        given = NTMCell.__doc__.partition("    Args:\n")[2].partition("\n\n")[0]
        layer.__doc__ = layer.__doc__.replace("    Args:\n", f"    Args:\n{given}\n", 1)
    return layer


@keras.saving.register_keras_serializable(package="ntm")
@_with_arguments_of_cell
class NeuralTuringMachine(keras.layers.RNN):
    """A Neural Turing Machine (Graves, Wayne and Danihelka 2014), used like `keras.layers.LSTM`.

    Input (B, T, input_dim), optional mask (B, T); output (B, units), or (B, T, units) with
    `return_sequences=True`. The equations and the departures from the paper are those of `NTMCell`,
    and so are the arguments but for `gradient_checkpointing`; `rnn_kwargs` are those of
    `keras.layers.RNN`.

    Args:
        gradient_checkpointing: None, or a number of steps K: trades time for memory on long
            sequences. Training then keeps what the machine carries before every K-th step only,
            instead of every step, and the backward pass runs each segment of K steps once more.
            About the square root of the length keeps least. On TensorFlow without `unroll` alone;
            elsewhere it has no effect.

    Raises:
        ValueError: as `NTMCell`; for a `gradient_checkpointing` that is no number of steps. When
            called, for an input that is not (B, T, input_dim) with the width of the first one, and
            for an initial state of another machine's sizes.

    Notes:
        A saved model loads after `import ntm`, without `custom_objects`; without that import, Keras
        says `Could not locate class 'NeuralTuringMachine'`.
        No weight depends on `n_width`: `set_weights` takes the weights of a layer with another.
        On TensorFlow the loop runs from the first to the last step that any sequence of the batch
        has unmasked, and no further, also compiled with XLA, where it compiles once a padded
        shape (`ntm.recurrence.tensorflow_loop`).
    """

    @_with_signature(NTMCell)
    def __init__(self, *arguments, **keywords):
        given = SIGNATURE.bind(self, *arguments, **keywords).arguments
        del given["self"]
        rnn_kwargs = given.pop("rnn_kwargs", {})
        gradient_checkpointing = given.pop("gradient_checkpointing", None)
        if gradient_checkpointing is not None:
            (gradient_checkpointing,) = checks.counts(gradient_checkpointing=gradient_checkpointing)
        old_names = {name: rnn_kwargs.pop(name) for name in RENAMED if name in rnn_kwargs}
        cell = NTMCell(**given, **old_names, name="ntm_cell", dtype=rnn_kwargs.get("dtype"))
        super().__init__(cell, **rnn_kwargs)
        # Releases of Keras differ in whether RNN sets it.
        self.supports_masking = True
        self.input_spec = keras.InputSpec(ndim=3)
        self.gradient_checkpointing = gradient_checkpointing

    def build(self, sequences_shape, initial_state_shape=None):
        checks.known_width(sequences_shape)
        super().build(sequences_shape, initial_state_shape)
        self.input_spec = keras.InputSpec(ndim=3, axes={-1: self.cell.input_dim})

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        if initial_state_shape is not None:  # Of a symbolic call, which no step sees.
            self.cell.check_states(initial_state_shape, sequences_shape[0])
        return super().compute_output_shape(sequences_shape, initial_state_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if sequences.shape[0] != 0 or self.stateful:
            return super().call(sequences, initial_state, mask, training)
        # Not every layer of a controller takes an empty batch: a sequence that is left out
        # afterwards goes with it, which changes nothing that training would.
        if initial_state is not None:
            initial_state = [_with_one(state) for state in initial_state]
        mask = None if mask is None else _with_one(mask)
        outputs = super().call(_with_one(sequences), initial_state, mask)
        return keras.tree.map_structure(lambda output: output[:0], outputs)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        self.cell.check_states([state.shape for state in initial_state], sequences.shape[0])
        if sequences.shape[-1] is None:
            sequences = noise.with_width(sequences, self.cell.input_dim)
        arguments = {
            "training": training,
            "go_backwards": self.go_backwards,
            "zero_output_for_mask": self.zero_output_for_mask,
        }
        if training and self.cell.perturbation:
            clutter_scale = self.cell.schedule.clutter_scale
            sequences, initial_state = noise.draw(
                self.cell, sequences, initial_state, clutter_scale
            )
        if keras.backend.backend() != "tensorflow" or self.unroll:
            arguments["unroll"] = self.unroll
            return loop.recurrence(self.cell, sequences, initial_state, mask, **arguments)
        from ntm.recurrence import tensorflow_loop

        arguments["return_sequences"] = self.return_sequences
        arguments["segment"] = self.gradient_checkpointing
        return tensorflow_loop.recurrence(self.cell, sequences, initial_state, mask, **arguments)

    @contextlib.contextmanager
    def scheduled(self, schedule):
        """Calls inside of it train, and find gradients, as an `ntm.Schedule` says."""
        before, self.cell.schedule = self.cell.schedule, schedule
        try:
            yield
        finally:
            self.cell.schedule = before

    def reset_state(self):
        """Back to the initial memory and weightings (Keras would write zeros)."""
        if self.states is not None:
            initial = self.get_initial_state(self.states[0].shape[0])
            for variable, value in zip(self.states, initial, strict=True):
                variable.assign(value)

    def trace(self, inputs, mask=None, initial_state=None):
        """Runs the machine step by step and keeps everything it does, for figures and tests.

        As a call without training does: from the initial state of a call (with `stateful=True`,
        from the layer's own, which stays as it is), in the order of `go_backwards`.

        Args:
            inputs: (B, T, input_dim).
            mask: (B, T) bool or None. At a masked step nothing changes, and outputs, memory,
                weightings and read vectors are those of the step before it (the outputs zero with
                `zero_output_for_mask`); what the controller tells the heads, which none of them
                follows, is zero.
            initial_state: None, or a list of states as `initial_state` of a call.

        Returns:
            A dict of NumPy arrays, float64 if the layer is and float32 otherwise, step by step in
            the order of running. H is all heads, the R read heads first, then the W write heads.
            `outputs` (B, T, units), `memory` (B, T, N, M) after each step, `read_weights`
            (B, T, R, N), `write_weights` (B, T, W, N), `reads` (B, T, R, M); and of the
            `ntm.heads.HeadParameters`: `key` (B, T, H, M), `strength` (B, T, H, 1), `gate`
            (B, T, H, 1), `shift` (B, T, H, S), `sharpness` (B, T, H, 1), `erase` (B, T, W, M) and
            `add` (B, T, W, M), also as `adds`.

        Raises:
            ValueError: for inputs, a mask or states of other sizes.
        """
        inputs = ops.convert_to_tensor(inputs, dtype=self.compute_dtype)
        check_input(self, inputs)
        if not self.built:
            self.build(inputs.shape)
            check_input(self, inputs)
        shape = tuple(inputs.shape[:2])
        if shape[0] == 0:
            return {name: values[:0] for name, values in self.trace(_with_one(inputs)).items()}
        states = self._first_states(shape[0], initial_state)
        used = ops.ones(shape, "bool") if mask is None else ops.convert_to_tensor(mask, "bool")
        if tuple(used.shape) != shape:
            raise ValueError(
                f"the mask has the shape {tuple(used.shape)}, but must be {shape}, the batch and "
                "the time steps of the inputs"
            )
        times = range(shape[1])
        steps = []
        for time in reversed(times) if self.go_backwards else times:
            states, step = self._traced_step(inputs[:, time], states, used[:, time])
            steps.append(step)
        traced = {
            name: ops.convert_to_numpy(ops.stack([step[name] for step in steps], axis=1))
            for name in steps[0]
        }
        weightings, heads = traced.pop("weightings"), self.cell.read_heads
        traced["read_weights"] = weightings[:, :, :heads]
        traced["write_weights"] = weightings[:, :, heads:]
        return {**traced, "adds": traced["add"]}

    def _first_states(self, batch, initial_state):
        if initial_state is None:
            own = self.stateful and self.states is not None
            initial_state = self.states if own else self.get_initial_state(batch)
        dtype = self.cell.compute_dtype
        states = [ops.convert_to_tensor(state, dtype=dtype) for state in initial_state]
        self.cell.check_states([state.shape for state in states], batch)
        return states

    def _traced_step(self, inputs, states, used):
        """States after a step of the sequences of `used` (B,), and what `trace` has of it."""
        used = used[:, None]
        state, parameters = self.cell.step(inputs, self.cell.unpack(states))
        pairs = zip(self.cell.pack(state), states, strict=True)
        states = [ops.where(used, new, old) for new, old in pairs]
        state = self.cell.unpack(states)
        output = ops.where(used, state.output, 0) if self.zero_output_for_mask else state.output
        told = {
            name.removesuffix("_weights"): ops.where(used[..., None], value, 0)
            for name, value in parameters._asdict().items()
        }
        return states, {
            "outputs": output,
            "memory": turned(state.memory),
            "weightings": state.weightings,
            "reads": state.reads,
            **told,
        }

    def get_config(self):
        config = super().get_config()
        cell_config = self.cell.get_config()
        del config["cell"]
        return {
            **config,
            **{name: cell_config[name] for name in (*ARGUMENTS, QUANTIZED) if name in cell_config},
            "gradient_checkpointing": self.gradient_checkpointing,
        }

    @classmethod
    def from_config(cls, config):
        config, quantized = arguments_from(config)
        layer = cls(**config)
        layer.cell.quantize_as(quantized)
        return layer


def _with_one(batch):
    """A batch with one row of zeros below it."""
    batch = ops.convert_to_tensor(batch)
    return ops.concatenate([batch, ops.zeros((1, *batch.shape[1:]), dtype=batch.dtype)], axis=0)


for _name in ARGUMENTS:
    # The sizes have one home, the cell; the layer answers for them.
    setattr(NeuralTuringMachine, _name, property(operator.attrgetter(f"cell.{_name}")))
