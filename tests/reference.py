"""The Neural Turing Machine in plain NumPy loops: one sequence, one head, one row at a time.

Written from the paper (Graves, Wayne and Danihelka 2014) and the documented departures from it,
in float64, with the paper's letters. It shares nothing with the code that it is compared with.
"""

# ruff: noqa: N803, N806 - the paper's letters, capitals included.
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# A controller as a function from (input, state) to (output, state).
Controller = Callable[[Array, Any], tuple[Array, Any]]

# Documented departures: the cosine divides by a length of at least 1e-3, in the machine 0.5; memory
# and read vectors start at 0.1, instructions stay within 20, the gate has an offset.
SHORTEST, SHORTEST_IN_MACHINE = 1e-3, 0.5
INITIAL_VALUE = 0.1
INSTRUCTION_BOUND = 20.0
GATE_OFFSET = 2.0  # unless another is given


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Any) -> Any:
    return np.log1p(np.exp(x))


def softmax(x: Array) -> Array:
    powers = np.exp(x - np.max(x))
    return powers / np.sum(powers)


def similarity(u: Array, v: Array, shortest: float) -> float:
    """Equation 6, the cosine of the angle between two vectors."""
    u_length = max(np.sqrt(np.sum(u * u)), shortest)
    v_length = max(np.sqrt(np.sum(v * v)), shortest)
    return float(np.sum(u * v) / (u_length * v_length))


def content_weighting(M: Array, k: Array, beta: float, shortest: float = SHORTEST) -> Array:
    """Equation 5."""
    powers = [np.exp(beta * similarity(k, row, shortest)) for row in M]
    return np.array([power / sum(powers) for power in powers])


def interpolate(w_content: Array, w_previous: Array, g: float) -> Array:
    """Equation 7."""
    return np.array([g * c + (1 - g) * p for c, p in zip(w_content, w_previous, strict=True)])


def offsets(S: int) -> list[int]:
    """The shifts that S entries stand for: 3 is -1, 0, 1; an even S has one more forwards."""
    return {1: [0], 2: [0, 1], 3: [-1, 0, 1], 4: [-1, 0, 1, 2], 5: [-2, -1, 0, 1, 2],
            6: [-2, -1, 0, 1, 2, 3]}[S]  # fmt: skip


def shift(w: Array, s: Array) -> Array:
    """Equation 8: w~(i) = sum over j of w(j) s(i - j), indices modulo N."""
    N = len(w)
    s_of = np.zeros(N)
    for offset, probability in zip(offsets(len(s)), s, strict=True):
        s_of[offset % N] += probability
    return np.array([sum(w[j] * s_of[(i - j) % N] for j in range(N)) for i in range(N)])


def sharpen(w: Array, gamma: float) -> Array:
    """Equation 9."""
    powers = [weight**gamma for weight in w]
    return np.array([power / sum(powers) for power in powers])


def address(
    M: Array,
    w_previous: Array,
    k: Array,
    beta: float,
    g: float,
    s: Array,
    gamma: float,
    shortest: float = SHORTEST,
) -> Array:
    """Equations 5 to 9."""
    content = content_weighting(M, k, beta, shortest)
    return sharpen(shift(interpolate(content, w_previous, g), s), gamma)


def read(M: Array, w: Array) -> Array:
    """Equation 2."""
    r = np.zeros(M.shape[1])
    for i in range(len(M)):
        r += w[i] * M[i]
    return r


def write(M: Array, w: Sequence[Array], e: Sequence[Array], a: Sequence[Array]) -> Array:
    """Equations 3 and 4: all heads erase, then all heads add."""
    M = M.copy()
    for head in range(len(w)):
        for i in range(len(M)):
            M[i] *= 1 - w[head][i] * e[head]
    for head in range(len(w)):
        for i in range(len(M)):
            M[i] += w[head][i] * a[head]
    return M


@dataclass
class State:
    """What is carried from step to step."""

    memory: Array
    weights: list[Array]
    reads: list[Array]
    controller: Any
    output: Array
    adds: list[Array] = field(default_factory=list)
    readout: Any = None


@dataclass
class Machine:
    """A Neural Turing Machine around a controller; `projection` is (R * M, units) or None.

    features: what a readout sees of the controller, made of the controller's input and new state.
    """

    controller: Controller
    units: int
    n_width: int
    m_depth: int
    shift_range: int
    read_heads: int
    write_heads: int
    projection: Array | None = None
    gate_offset: float = GATE_OFFSET
    write_gate_offset: float = 0.0
    write_shift_offset: float = 0.0
    sharpness_offset: float = 0.0
    row_codes: float = 0.0
    controller_state: Any = None
    readout: Controller | None = None
    readout_state: Any = None
    features: Callable[[Array, Any], Array] | None = None

    def initial_state(self) -> State:
        first_row = np.zeros(self.n_width)
        first_row[0] = 1
        return State(
            memory=self.initial_memory(),
            weights=[first_row.copy() for _ in range(self.read_heads + self.write_heads)],
            reads=[np.full(self.m_depth, INITIAL_VALUE) for _ in range(self.read_heads)],
            controller=self.controller_state,
            output=np.zeros(self.units),
            readout=self.readout_state,
        )

    def initial_memory(self) -> Array:
        """Row i, columns 2 k and 2 k + 1: sine and cosine of 2 * 50^(-k / K) i, K the last pair."""
        memory = np.full((self.n_width, self.m_depth), INITIAL_VALUE)
        for i in range(self.n_width):
            for j in range(self.m_depth):
                rate = 2 * 50 ** (-(j // 2) / max(1, (self.m_depth - 1) // 2))
                wave = np.cos if j % 2 else np.sin
                memory[i, j] += self.row_codes * wave(rate * i)
        return memory

    def gate_offset_of(self, head: int) -> float:
        """Read heads come first."""
        return self.gate_offset + self.write_gate_offset * (head >= self.read_heads)

    def shift_offset_of(self, head: int) -> Array:
        """Entry j moves by j less half of the range without its middle, rounded down."""
        moves = np.arange(self.shift_range) - (self.shift_range - 1) // 2
        return self.write_shift_offset * (moves == 1) * (head >= self.read_heads)

    def run(self, inputs: Array, state: State | None = None) -> list[State]:
        """The states after each step of a sequence (T, input_dim)."""
        state = state or self.initial_state()
        states = []
        for x in inputs:
            state = self.step(np.asarray(x, np.float64), state)
            states.append(state)
        return states

    def step(self, x: Array, before: State) -> State:
        """Heads are addressed and read on the memory before the step, then the heads write."""
        seen = np.concatenate([x, *before.reads])
        raw, controller_state = self.controller(seen, before.controller)
        output, keys, strengths, gates, shifts, sharpnesses, erases, adds = self.split(raw)
        weights = [
            address(
                before.memory,
                before.weights[head],
                np.tanh(keys[head]),
                softplus(strengths[head][0]),
                sigmoid(gates[head][0] - self.gate_offset_of(head)),
                softmax(shifts[head] + self.shift_offset_of(head)),
                1 + softplus(sharpnesses[head][0] + self.sharpness_offset),
                SHORTEST_IN_MACHINE,
            )
            for head in range(self.read_heads + self.write_heads)
        ]
        reads = [read(before.memory, w) for w in weights[: self.read_heads]]
        memory = write(
            before.memory,
            weights[self.read_heads :],
            [sigmoid(e) for e in erases],
            adds,
        )
        if self.projection is not None:
            output = output + np.concatenate(reads) @ self.projection
        readout_state = None
        if self.readout is not None:
            assert self.features is not None
            features = self.features(seen, controller_state)
            added, readout_state = self.readout(np.concatenate([seen, features]), before.readout)
            output = output + added
        return State(memory, weights, reads, controller_state, output, adds, readout_state)

    def split(self, raw: Array) -> list[Any]:
        """The output, then each kind of instruction for all heads, the read heads first."""
        heads = self.read_heads + self.write_heads
        parts: list[Any] = [raw[: self.units]]
        rest = np.clip(raw[self.units :], -INSTRUCTION_BOUND, INSTRUCTION_BOUND)
        for count, size in [
            (heads, self.m_depth),
            (heads, 1),
            (heads, 1),
            (heads, self.shift_range),
            (heads, 1),
            (self.write_heads, self.m_depth),
            (self.write_heads, self.m_depth),
        ]:
            parts.append([rest[i * size : (i + 1) * size] for i in range(count)])
            rest = rest[count * size :]
        assert not rest.size
        return parts


def dense_controller(
    *layers: tuple[Array, Array], hidden: Callable[..., Any] = np.tanh
) -> Controller:
    """Layers of (kernel, bias), all but the last followed by `hidden`."""

    def step(x: Array, state: Any) -> tuple[Array, Any]:
        for kernel, bias in layers[:-1]:
            x = hidden(x @ kernel + bias)
        kernel, bias = layers[-1]
        return x @ kernel + bias, state

    return step


def lstm_controller(
    kernel: Array, recurrent: Array, bias: Array, out_kernel: Array, out_bias: Array
) -> Controller:
    """An LSTM with Keras' order of gates (input, forget, cell, output), then a linear layer."""

    def step(x: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        h, c = state
        i, f, cell, o = np.split(x @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(cell)
        h = sigmoid(o) * np.tanh(c)
        return h @ out_kernel + out_bias, (h, c)

    return step
