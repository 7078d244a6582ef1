"""Training the layer with Keras on JAX: one compiled update, as the references have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from _jax_machine import cross_entropy


class State(NamedTuple):
    """Values of trainable weights, of all other variables, and of the optimizer's."""

    weights: list[Any]
    others: list[Any]
    kept: list[Any]


def new_state(layer: Any, optimizer: Any) -> State:
    optimizer.build(layer.trainable_variables)
    parts = (layer.trainable_variables, layer.non_trainable_variables, optimizer.variables)
    # Copies: an update overwrites what it is given.
    return State(*([jax.numpy.array(v.value) for v in variables] for variables in parts))


def updates(layer: Any, optimizer: Any) -> Callable[[State, Any], tuple[State, Any]]:
    """The function from a state and a batch to the state after an update and the loss before it.

    A batch is inputs, targets, weights and mask, as a `tasks.Batch`; a mask may be None.
    """

    def update(state: State, batch: Any) -> tuple[State, Any]:
        inputs, targets, counts, mask = batch

        def loss(weights: Any) -> Any:
            logits, others = layer.stateless_call(
                weights, state.others, inputs, mask=mask, training=True
            )
            return cross_entropy(logits, targets, counts), others

        (value, others), gradients = jax.value_and_grad(loss, has_aux=True)(state.weights)
        weights, kept = optimizer.stateless_apply(state.kept, gradients, state.weights)
        return State(weights, others, kept), value

    return update
