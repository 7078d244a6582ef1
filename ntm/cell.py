"""One time step of the Neural Turing Machine."""

import inspect
import math

import keras
from keras import ops

from ntm import checks, heads
from ntm.addressing import address_columns, shift_offsets
from ntm.controller import Controller, serialised
from ntm.memory import INITIAL_MEMORY, first_memory, read_columns, write_columns
from ntm.quantization import QUANTIZED, found, restore
from ntm.renamed import renamed, stated_by_old_names
from ntm.state import NTMState, check_shapes
from ntm.training import noise
from ntm.training.clipping import clip_gradient
from ntm.training.dropout import DropoutWithController
from ntm.training.perturbation import Perturbation
from ntm.training.schedule import Schedule

# Beside the fields of its perturbation, the numbers of a machine that a `Schedule` may replace.
NUMBERS = (
    *("state_clip_norm", "gate_offset", "sharpness_offset"),
    *("write_gate_offset", "write_shift_offset"),
)


@keras.saving.register_keras_serializable(package="ntm")
class NTMCell(keras.layers.Layer, DropoutWithController):
    """One step of a Neural Turing Machine, as a Keras RNN cell.

    With input x, memory M, read vectors r and weightings w of the step before:

        o, parameters = controller([x, r])
        w <- address(M, w, parameters)          (equations 5 to 9)
        r <- w_read M                           (equation 2)
        M <- M * (1 - w_write e) + w_write a    (equations 3 and 4)
        output = activation(o + r P + q)        (P only with `read_to_output`)
        q = readout([x, r of the step before, h])  (only with `readout_units`)

    Args:
        units: width of the output.
        n_width: N, the number of memory rows.
        m_depth: M, the width of a memory row.
        shift_range: S, the number of allowed shifts, from 1 to N; 3 means -1, 0 and +1. An even
            number has its extra shift at the positive end.
        controller_model: the controller, see `ntm.controller.Controller`; None is one dense layer.
        read_heads: R, at least 1.
        write_heads: W, at least 1.
        activation: activation of the output.
        read_to_output: whether r P is added to the output, P learned (figure 1 of the paper).
        readout_units: width of an LSTM beside the controller whose output q is added to the
            output of the machine and reaches no head; 0 for none.
        gate_offset: b in the gate's g = sigmoid(raw - b); the paper has 0.
        sharpness_offset: b in the sharpness gamma = 1 + softplus(raw + b); the paper has 0.
        row_codes: amplitude of the waves over the rows that are added to the initial memory, as in
            `ntm.memory.first_memory` (sinusoidal codes as of Vaswani et al. 2017, arXiv
            1706.03762); 0 is none.
        perturbation: an `ntm.Perturbation`, the noise of training; None is none.
        state_clip_norm: largest Euclidean norm, in training, of the gradient of the loss with
            respect to each of a sequence's states at each step, times `Schedule.clip_scale`; None
            is no bound (clipping by norm as of Pascanu et al. 2013, arXiv 1211.5063, for each
            sequence and step). In the units of the loss per unit of a state.
        dropout: share of the inputs dropped in training, one mask for a whole sequence (Gal and
            Ghahramani 2016, arXiv 1512.05287).
        seed: seed of the dropout masks and of the noise.
        write_gate_offset: added to `gate_offset` for the write heads alone: those of a new machine
            then keep their place, and its read heads look anywhere.
        write_shift_offset: added, for the write heads alone, to the parameter of the shift by +1
            if there is one: a new machine's write heads then go on by a row. With
            `write_gate_offset` it writes row after row.

    Raises:
        ValueError: for sizes that make no machine, or a controller that breaks its contract. When
            called, for inputs of another width than the first ones, and for states of other sizes.

    Notes:
        Departures from the paper, with their reasons in docs/paper.md. All heads
        are addressed and read on the memory of the step before, then the write heads write. The
        read vectors of this step reach the output directly, as drawn in the paper's figure 1,
        instead of through the next step's controller. Memory starts at a constant 0.1 (and
        `row_codes`), all weightings on row 0, and read vectors at 0.1: nothing of it is learned,
        so no weight depends on N. The heads' parameters are bounded to [-20, 20] before their
        activations; keys pass a tanh; gate and sharpness have offsets. The similarity of equation
        6 divides by a length of at least 0.5.
        Under a half precision policy the controller and P compute in it, the machine and its
        state in float32: half precision cannot hold a small memory or a sharp weighting. In float64
        all of it is, but for what Keras computes in float32 on other backends than TensorFlow.
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
        gate_offset=2.0,
        sharpness_offset=0.0,
        row_codes=0.0,
        perturbation=None,
        state_clip_norm=None,
        dropout=0.0,
        seed=None,
        *,
        write_gate_offset=0.0,
        write_shift_offset=0.0,
        **kwargs,
    ):
        units, n_width, m_depth, shift_range, read_heads, write_heads = checks.counts(
            units=units,
            n_width=n_width,
            m_depth=m_depth,
            shift_range=shift_range,
            read_heads=read_heads,
            write_heads=write_heads,
        )
        checks.shifts_fit(shift_range, n_width)
        (readout_units,) = checks.counts(least=0, readout_units=readout_units)
        checks.share(dropout=dropout)
        checks.above_zero_or_none(state_clip_norm=state_clip_norm)
        checks.finite(
            gate_offset=gate_offset,
            sharpness_offset=sharpness_offset,
            row_codes=row_codes,
            write_gate_offset=write_gate_offset,
            write_shift_offset=write_shift_offset,
        )
        perturbation = stated_by_old_names(kwargs, perturbation)
        super().__init__(**kwargs)
        self.input_spec = keras.InputSpec(ndim=2)
        self.units = units
        self.n_width = n_width
        self.m_depth = m_depth
        self.shift_range = shift_range
        self.read_heads = read_heads
        self.write_heads = write_heads
        self.activation = keras.activations.get(activation)
        self.read_to_output = read_to_output
        self.readout_units = readout_units
        self.gate_offset = gate_offset
        self.sharpness_offset = sharpness_offset
        self.write_gate_offset = write_gate_offset
        self.write_shift_offset = write_shift_offset
        self.row_codes = row_codes
        self.perturbation = Perturbation.of(perturbation)
        self.schedule = Schedule()
        self.dropout = dropout
        self.recurrent_dropout = 0.0
        self.state_clip_norm = state_clip_norm
        self.seed = seed
        if dropout or self.perturbation:
            self.seed_generator = keras.random.SeedGenerator(seed)
        output_dim = units + sum(
            heads.head_parameter_sizes(m_depth, shift_range, read_heads, write_heads)
        )
        self._default_controller = controller_model is None
        if controller_model is None:
            controller_model = keras.layers.Dense(
                output_dim, name="controller", dtype=self.dtype_policy
            )
        self.controller = Controller(
            controller_model, output_dim, name="controller", dtype=self.dtype_policy
        )
        self.projection = None
        if read_to_output:
            self.projection = keras.layers.Dense(
                units, use_bias=False, name="read_to_output", dtype=self.dtype_policy
            )
        self.readout = None
        if readout_units:
            layers = [
                keras.layers.LSTM(readout_units, name="lstm", dtype=self.dtype_policy),
                keras.layers.Dense(units, use_bias=False, name="added", dtype=self.dtype_policy),
            ]
            self.readout = Controller(
                keras.Sequential(layers), units, name="readout", dtype=self.dtype_policy
            )

    @property
    def networks(self):
        """The controller and, if there is one, the readout."""
        return [self.controller] if self.readout is None else [self.controller, self.readout]

    @property
    def controller_model(self):
        """The controller as it was given."""
        return self.controller.model

    @property
    def numbers(self):
        """The numbers that `Schedule.numbers` may replace, by name: those that are not zero.

        What is off needs no code, so it is part of the machine's structure.
        """
        own = {name: getattr(self, name) for name in NUMBERS} | self.perturbation.as_dict()
        return {name: value for name, value in own.items() if value}

    def number(self, name):
        """A number as the schedule has it, or else the machine's own."""
        if name in self.schedule.numbers:
            return self.schedule.numbers[name]
        return getattr(self if name in NUMBERS else self.perturbation, name)

    @property
    def _shift_by_one(self):
        """1 for the shift by +1 and 0 for the others."""
        return [float(offset == 1) for offset in shift_offsets(self.shift_range)]

    @property
    def compute_dtype(self):
        """At least float32, see the notes; also what `keras.layers.RNN` casts the state to."""
        dtype = super().compute_dtype
        return "float32" if dtype in ("float16", "bfloat16") else dtype

    @property
    def output_size(self):
        return self.units

    @property
    def state_size(self):
        return [math.prod(shape) for shape in self.state_shapes]

    @property
    def state_shapes(self):
        """Shapes of one sequence's states before they are flattened."""
        heads_count = self.read_heads + self.write_heads
        return [
            (self.units,),
            (self.m_depth, self.n_width),
            (heads_count, self.n_width),
            (self.read_heads, self.m_depth),
            *((size,) for network in self.networks for size in network.state_size),
        ]

    def build(self, input_shape):
        self.input_dim = checks.known_width(input_shape)
        self.input_spec = keras.InputSpec(ndim=2, axes={-1: self.input_dim})
        reads_dim = self.read_heads * self.m_depth
        seen_dim = self.input_dim + reads_dim
        self.controller.build((input_shape[0], seen_dim))
        if self.readout is not None:
            self.readout.build((input_shape[0], seen_dim + self.controller.features_dim))
        if self.projection is not None:
            self.projection.build((input_shape[0], reads_dim))
        self.built = True

    def call(self, inputs, states, training=False):
        self.check_states([state.shape for state in states], inputs.shape[0])
        if training and self.state_clip_norm is not None:
            bound = self.number("state_clip_norm") * self.schedule.clip_scale
            states = [clip_gradient(state, bound) for state in states]
        new, _ = self.step(inputs, self.unpack(states), training)
        packed = self.pack(new)
        return packed[0], packed

    def step(self, inputs, state, training=False):
        """One step on `NTMState`s, the equations above.

        Args:
            inputs: (B, input_dim), and beside it what `ntm.training.noise.draw` adds.
            state: the `NTMState` before the step.
            training: as in `call`.

        Returns:
            `(state, parameters)`: the `NTMState` after it, and the `ntm.heads.HeadParameters` that
            the heads followed.
        """
        inputs, drawn = noise.split_noise(self, ops.cast(inputs, self.compute_dtype))
        output, parameters, *states = self._control(inputs, drawn, state, training)
        weightings = address_columns(
            state.memory,
            noise.perturb(state.weightings, drawn),
            parameters.key,
            parameters.strength,
            parameters.gate,
            parameters.shift_weights,
            parameters.sharpness,
        )
        reads = read_columns(state.memory, weightings[:, : self.read_heads])
        memory = write_columns(
            state.memory, weightings[:, self.read_heads :], parameters.erase, parameters.add
        )
        if self.projection is not None:
            output = output + ops.cast(self.projection(_flat(reads)), output.dtype)
        output = self.activation(output)
        return NTMState(output, memory, weightings, reads, *states), parameters

    def _control(self, inputs, drawn, state, training):
        """What controller and readout say: output without the read vectors' part, parameters of
        the heads, states of one and of the other.
        """
        if training and self.dropout:
            inputs = self.drop(inputs)
        reads = _flat(state.reads)
        if drawn.reads.shape[-1]:
            reads = reads + ops.cast(drawn.reads, reads.dtype)
        seen = ops.concatenate([inputs, reads], axis=-1)
        controller_output, features, controller_states = self.controller(
            seen, state.controller, training=training
        )
        if drawn.states.shape[-1]:
            controller_states = self.controller.noisy(controller_states, drawn.states)
        output, parameters = heads.parse(
            ops.cast(controller_output, state.memory.dtype),
            self.units,
            self.m_depth,
            self.shift_range,
            self.read_heads,
            self.write_heads,
            self.number("gate_offset") + self._of_write_heads("write_gate_offset"),
            self.number("sharpness_offset"),
            self._of_write_heads("write_shift_offset", self._shift_by_one),
        )
        if self.readout is None:
            return output, parameters, controller_states, []
        added, _, readout_states = self.readout(
            ops.concatenate([seen, ops.cast(features, seen.dtype)], axis=-1),
            state.readout,
            training=training,
        )
        output = output + ops.cast(added, output.dtype)
        return output, parameters, controller_states, readout_states

    def _of_write_heads(self, name, columns=(1.0,)):
        """A number's product with `columns` for the write heads and zero for the read heads,
        (H, columns); 0 where the number is off.
        """
        if not getattr(self, name):
            return 0.0
        rows = [[0.0] * len(columns)] * self.read_heads + [[*columns]] * self.write_heads
        return self.number(name) * ops.convert_to_tensor(rows, dtype=self.compute_dtype)

    def get_initial_state(self, batch_size=None):
        """`first_memory`, read vectors a small constant, weightings on row 0, the rest zero."""
        output, memory, weightings, reads, *_ = self.state_size
        dtype = self.compute_dtype
        start = first_memory(self.n_width, self.m_depth, self.row_codes, dtype)
        first_row = ops.cast(ops.arange(weightings) % self.n_width == 0, dtype)
        return [
            ops.zeros((batch_size, output), dtype=dtype),
            # Sums, not broadcasts: PyTorch cannot assign to a view that repeats one row.
            ops.zeros((batch_size, memory), dtype=dtype) + ops.reshape(start, (-1,)),
            ops.zeros((batch_size, weightings), dtype=dtype) + first_row,
            ops.full((batch_size, reads), INITIAL_MEMORY, dtype=dtype),
            *(
                start
                for network in self.networks
                for start in network.get_initial_state(batch_size)
            ),
        ]

    def check_states(self, shapes, batch=None):
        """Refuses states of other sizes than this machine's, which would be read as something else.

        Args:
            shapes: of the states in a recurrent layer's list, sizes not known yet None.
            batch: number of sequences, or None.

        Raises:
            ValueError: for another number of states, or another shape.
        """
        names = [*NTMState._fields[:4]]
        for network in self.networks:
            names += [network.name] * len(network.state_size)
        check_shapes(self, names, shapes, batch)

    def unpack(self, states):
        """A recurrent layer's list of states as an `NTMState`."""
        output, memory, weightings, reads, *states = states
        count = len(self.controller.state_size)
        return NTMState(
            output,
            ops.reshape(memory, (-1, self.m_depth, self.n_width)),
            ops.reshape(weightings, (-1, self.read_heads + self.write_heads, self.n_width)),
            ops.reshape(reads, (-1, self.read_heads, self.m_depth)),
            states[:count],
            states[count:],
        )

    def pack(self, state):
        """An `NTMState` as the list of states that a recurrent layer carries."""
        flat = [state.output, _flat(state.memory), _flat(state.weightings), _flat(state.reads)]
        states = (*flat, *state.controller, *state.readout)
        return [ops.cast(value, self.compute_dtype) for value in states]

    def get_config(self):
        model = None if self._default_controller else self.controller_model
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in ARGUMENTS},
            "controller_model": serialised(model),
            "activation": keras.activations.serialize(self.activation),
            "perturbation": self.perturbation.as_dict(),
            **found(self._own_layers),
        }

    @classmethod
    def from_config(cls, config):
        config, quantized = arguments_from(config)
        cell = cls(**config)
        cell.quantize_as(quantized)
        return cell

    def quantize_as(self, quantized):
        """Makes layers not built yet what `get_config` found them to be, its entry `QUANTIZED`."""
        restore(self._own_layers, quantized)

    @property
    def _own_layers(self):
        """The dense layers that this cell has made by itself, by name."""
        layers = [
            self.controller_model if self._default_controller else None,
            self.projection,
            None if self.readout is None else self.readout.stages[-1],
        ]
        return {layer.name: layer for layer in layers if layer is not None}


# Arguments of a machine by name, in order: all that `NTMCell` lists.
ARGUMENTS = tuple(
    name
    for name, parameter in inspect.signature(NTMCell).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
)


def arguments_from(config):
    """Arguments from the configuration of a cell or a layer, and its entry `QUANTIZED`."""
    config = renamed(config)
    model = config.get("controller_model")
    config["controller_model"] = keras.saving.deserialize_keras_object(model)
    return config, config.pop(QUANTIZED, {})


def _flat(value):
    return ops.reshape(value, (-1, value.shape[1] * value.shape[2]))
