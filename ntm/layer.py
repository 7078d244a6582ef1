"""The Neural Turing Machine as a Keras recurrent layer."""

import operator

import keras
from keras import ops

from ntm import checks, loop, noise
from ntm.cell import GATE_OFFSET, NTMCell

CELL_ARGUMENTS = (
    "units",
    "n_width",
    "m_depth",
    "shift_range",
    "controller_model",
    "read_heads",
    "write_heads",
    "activation",
    "read_to_output",
    "readout_units",
    "gate_offset",
    "sharpness_offset",
    "row_codes",
    "dropout",
    "state_noise",
    "state_drift",
    "memory_noise",
    "memory_clutter",
    "read_noise",
    "weighting_leak",
    "weighting_drift",
    "state_clip_norm",
    "seed",
)


@keras.saving.register_keras_serializable(package="ntm")
class NeuralTuringMachine(keras.layers.RNN):
    """A Neural Turing Machine (Graves, Wayne and Danihelka 2014), used like `keras.layers.LSTM`.

    Input (B, T, input_dim), optional mask (B, T); output (B, units), or (B, T, units) with
    `return_sequences=True`. The equations, the arguments up to `seed` and the departures from the
    paper are those of `NTMCell`; all other arguments are those of `keras.layers.RNN`.

    Args:
        gradient_checkpointing: None, or a number of steps K: trades time for memory on long
            sequences. Training then keeps what the machine carries before every K-th step only,
            instead of every step, and the backward pass runs each segment of K steps once more.
            About the square root of the length keeps least. On TensorFlow without `unroll` alone;
            elsewhere it has no effect.

    Raises:
        ValueError: as `NTMCell`; for a `gradient_checkpointing` that is no number of steps.

    Notes:
        No weight depends on `n_width`: `set_weights` takes the weights of a layer with another.
        On TensorFlow the loop runs from the first to the last step that any sequence of the batch
        has unmasked, and no further, also compiled with XLA, where it compiles once a padded
        shape (`ntm.tensorflow_loop`).
    """

    def __init__(
        self,
        units,
        n_width=128,
        m_depth=20,
        shift_range=3,
        controller_model=None,
        read_heads=1,
        write_heads=1,
        activation="linear",
        read_to_output=True,
        readout_units=0,
        gate_offset=GATE_OFFSET,
        sharpness_offset=0.0,
        row_codes=0.0,
        dropout=0.0,
        state_noise=0.0,
        state_drift=0.0,
        memory_noise=0.0,
        memory_clutter=0.0,
        read_noise=0.0,
        weighting_leak=0.0,
        weighting_drift=0.0,
        state_clip_norm=None,
        seed=None,
        gradient_checkpointing=None,
        **rnn_kwargs,
    ):
        if gradient_checkpointing is not None:
            checks.counts(gradient_checkpointing=gradient_checkpointing)
        cell = NTMCell(
            units,
            n_width=n_width,
            m_depth=m_depth,
            shift_range=shift_range,
            controller_model=controller_model,
            read_heads=read_heads,
            write_heads=write_heads,
            activation=activation,
            read_to_output=read_to_output,
            readout_units=readout_units,
            gate_offset=gate_offset,
            sharpness_offset=sharpness_offset,
            row_codes=row_codes,
            dropout=dropout,
            state_noise=state_noise,
            state_drift=state_drift,
            memory_noise=memory_noise,
            memory_clutter=memory_clutter,
            read_noise=read_noise,
            weighting_leak=weighting_leak,
            weighting_drift=weighting_drift,
            state_clip_norm=state_clip_norm,
            seed=seed,
            name="ntm_cell",
            dtype=rnn_kwargs.get("dtype"),
        )
        super().__init__(cell, **rnn_kwargs)
        # Releases of Keras differ in whether RNN sets it.
        self.supports_masking = True
        self.gradient_checkpointing = gradient_checkpointing

    def inner_loop(self, sequences, initial_state, mask, training=False):
        arguments = {
            "training": training,
            "go_backwards": self.go_backwards,
            "zero_output_for_mask": self.zero_output_for_mask,
        }
        if training and self.cell.has_noise:
            sequences, initial_state = noise.draw(self.cell, sequences, initial_state)
        if keras.backend.backend() != "tensorflow" or self.unroll:
            arguments["unroll"] = self.unroll
            return loop.recurrence(self.cell, sequences, initial_state, mask, **arguments)
        from ntm import tensorflow_loop

        arguments["return_sequences"] = self.return_sequences
        arguments["segment"] = self.gradient_checkpointing
        return tensorflow_loop.recurrence(self.cell, sequences, initial_state, mask, **arguments)

    def reset_state(self):
        """Back to the initial memory and weightings (Keras would write zeros)."""
        if self.states is not None:
            initial = self.get_initial_state(self.states[0].shape[0])
            for variable, value in zip(self.states, initial, strict=True):
                variable.assign(value)

    def trace(self, inputs):
        """Runs the machine step by step and keeps everything it does, for figures and tests.

        Args:
            inputs: (B, T, input_dim).

        Returns:
            A dict of NumPy arrays: `outputs` (B, T, units), `memory` (B, T, N, M) after each step,
            `read_weights` (B, T, R, N), `write_weights` (B, T, W, N), `reads` (B, T, R, M) and
            `adds` (B, T, W, M), what the write heads add.
        """
        inputs = ops.convert_to_tensor(inputs, dtype=self.compute_dtype)
        if not self.built:
            self.build(inputs.shape)
        states = self.get_initial_state(inputs.shape[0])
        steps = []
        for time in range(inputs.shape[1]):
            state, instructions = self.cell.step(inputs[:, time], self.cell.unpack(states))
            states = self.cell.pack(state)
            steps.append((*state[:4], instructions.add))
        output, memory, weights, reads, adds = (
            ops.convert_to_numpy(ops.cast(ops.stack(part, axis=1), "float32"))
            for part in zip(*steps, strict=True)
        )
        return {
            "outputs": output,
            "memory": memory,
            "read_weights": weights[:, :, : self.cell.read_heads],
            "write_weights": weights[:, :, self.cell.read_heads :],
            "reads": reads,
            "adds": adds,
        }

    def get_config(self):
        config = super().get_config()
        cell_config = self.cell.get_config()
        del config["cell"]
        return {
            **config,
            **{name: cell_config[name] for name in CELL_ARGUMENTS},
            "gradient_checkpointing": self.gradient_checkpointing,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        model = config.get("controller_model")
        config["controller_model"] = keras.saving.deserialize_keras_object(model)
        return cls(**config)


for _name in CELL_ARGUMENTS:
    # The sizes have one home, the cell; the layer answers for them.
    setattr(NeuralTuringMachine, _name, property(operator.attrgetter(f"cell.{_name}")))
