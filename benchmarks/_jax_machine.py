"""The machine of `ntm/` in plain JAX with `lax.scan`: one head of each kind, an LSTM controller.

The shapes are those of the equations: memory (B, N, M), weightings (B, 2, N), the read head first.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from _common import BOUND, COLUMNS, FLOOR, GATE_OFFSET, INITIAL, ROWS, SHIFTS, SHORTEST
from jax import lax, nn

ADAM = {"b1": 0.9, "b2": 0.999, "epsilon": 1e-7}


class State(NamedTuple):
    """Weights and what Adam keeps: means of gradients and of their squares, updates made."""

    weights: list[Any]
    means: list[Any]
    squares: list[Any]
    updates: Any


def new_state(weights: Any) -> State:
    values = [jnp.asarray(w) for w in weights]
    # Two lists of zeros: what is given away to be overwritten may be given away only once.
    means, squares = ([jnp.zeros_like(w) for w in values] for _ in range(2))
    return State(values, means, squares, jnp.zeros(()))


def length(vectors: Any) -> Any:
    return jnp.sqrt(jnp.maximum(jnp.sum(vectors**2, axis=-1), SHORTEST**2))


def address(memory: Any, previous: Any, key: Any, scalars: Any, shifts: Any) -> Any:
    """Equations 5 to 9 for both heads. scalars: strength, gate and sharpness, each (B, 2, 1)."""
    strength, gate, sharpness = scalars
    products = jnp.einsum("bnm,bhm->bhn", memory, key)
    similarity = products / (length(memory)[:, None] * length(key)[..., None])
    content = nn.softmax(strength * similarity)
    gated = gate * content + (1 - gate) * previous
    shifted = sum(
        shifts[..., j : j + 1] * jnp.roll(gated, j - SHIFTS // 2, axis=-1) for j in range(SHIFTS)
    )
    return nn.softmax(sharpness * jnp.log(shifted + FLOOR))


def lstm(kernel: Any, recurrent: Any, bias: Any, seen: Any, hidden: Any, cell: Any) -> Any:
    gates = seen @ kernel + hidden @ recurrent + bias
    enter, forget, new, leave = jnp.split(gates, 4, axis=-1)
    cell = nn.sigmoid(forget) * cell + nn.sigmoid(enter) * jnp.tanh(new)
    return nn.sigmoid(leave) * jnp.tanh(cell), cell


def step(weights: Any, carry: Any, seen: Any) -> Any:
    *recurrent, dense, dense_bias, projection = weights
    memory, previous, reads, hidden, cell = carry
    hidden, cell = lstm(*recurrent, jnp.concatenate([seen, reads], -1), hidden, cell)
    instructions = hidden @ dense + dense_bias
    bits = projection.shape[1]
    output, raw = instructions[:, :bits], jnp.clip(instructions[:, bits:], -BOUND, BOUND)
    sizes = (2 * COLUMNS, 2, 2, 2 * SHIFTS, 2, COLUMNS, COLUMNS)
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    *heads, erase, add = jnp.split(raw, ends, axis=-1)
    key, strength, gate, shifts, sharpness = (part.reshape(len(part), 2, -1) for part in heads)
    scalars = nn.softplus(strength), nn.sigmoid(gate - GATE_OFFSET), 1 + nn.softplus(sharpness)
    focus = address(memory, previous, jnp.tanh(key), scalars, nn.softmax(shifts))
    reads = jnp.einsum("bn,bnm->bm", focus[:, 0], memory)
    write = focus[:, 1, :, None]
    memory = memory * (1 - write * nn.sigmoid(erase)[:, None]) + write * add[:, None]
    return (memory, focus, reads, hidden, cell), output + reads @ projection


def loss(weights: Any, inputs: Any, targets: Any, counts: Any, mask: Any) -> Any:
    """Mean cross-entropy of the bits that count. Every step of the batch is used: no mask."""
    del mask
    batch, units = len(inputs), weights[1].shape[0]
    carry = (
        jnp.full((batch, ROWS, COLUMNS), INITIAL),
        jnp.zeros((batch, 2, ROWS)).at[:, :, 0].set(1.0),
        jnp.full((batch, COLUMNS), INITIAL),
        jnp.zeros((batch, units)),
        jnp.zeros((batch, units)),
    )
    _, logits = lax.scan(partial(step, weights), carry, jnp.swapaxes(inputs, 0, 1))
    return cross_entropy(jnp.swapaxes(logits, 0, 1), targets, counts)


def cross_entropy(logits: Any, targets: Any, counts: Any) -> Any:
    """Mean over the bits that count."""
    costs = nn.softplus(logits) - logits * targets
    return jnp.sum(costs * counts) / jnp.sum(counts)


@jax.jit
def loss_and_gradients(weights: Any, batch: Any) -> Any:
    return jax.value_and_grad(loss)(weights, *batch)


@partial(jax.jit, donate_argnums=0)
def train(state: State, batch: Any, rate: float) -> tuple[State, Any]:
    """The state after an Adam update, and the loss before it."""
    value, gradients = jax.value_and_grad(loss)(state.weights, *batch)
    b1, b2, updates = ADAM["b1"], ADAM["b2"], state.updates + 1
    means = [b1 * m + (1 - b1) * g for m, g in zip(state.means, gradients, strict=True)]
    squares = [b2 * s + (1 - b2) * g * g for s, g in zip(state.squares, gradients, strict=True)]
    rate = rate * jnp.sqrt(1 - b2**updates) / (1 - b1**updates)
    weights = [
        w - rate * m / (jnp.sqrt(s) + ADAM["epsilon"])
        for w, m, s in zip(state.weights, means, squares, strict=True)
    ]
    return State(weights, means, squares, updates), value
