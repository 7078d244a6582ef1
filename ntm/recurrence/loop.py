"""The recurrence over time in `keras.ops`: for every backend without a faster loop of its own.

The loop of `keras.layers.RNN` would do, but for this: what the cell changes on the way (random
seeds, moving averages) is carried from step to step, so that dropout and batch normalisation work
inside a controller on JAX too; and a step masked before the first unmasked one repeats the output
in the initial state, so that a sequence may be cut anywhere.
"""

import keras
from keras import ops

from ntm._keras import without_autocast


def recurrence(
    cell,
    sequences,
    initial_state,
    mask=None,
    training=False,
    go_backwards=False,
    zero_output_for_mask=False,
    unroll=False,
):
    """Runs a cell over time, as `keras.layers.RNN.inner_loop` does.

    Args:
        cell: a built RNN cell with a flat list of states, the output first.
        sequences: (B, T, input_dim).
        initial_state: list of (B, size).
        mask: (B, T) or None; a masked step changes no state and repeats the output.
        training: passed to the cell.
        go_backwards: run from the last step to the first; outputs are in the order of running.
        zero_output_for_mask: put out zeros on masked steps.
        unroll: lay the steps out one by one instead of a loop of the backend.

    Returns:
        `(last_output, outputs, states)`: (B, units), (B, T, units), list of (B, size).
    """
    steps = [ops.swapaxes(sequences, 0, 1)]
    if mask is not None:
        steps.append(ops.transpose(ops.cast(mask, "bool"))[:, :, None])
    if go_backwards:
        steps = [ops.flip(part, axis=0) for part in steps]
    step = _Step(cell, training, zero_output_for_mask)
    # Copies: a stateful layer overwrites its state in place, before PyTorch's backward pass.
    carry = [ops.copy(state) for state in initial_state], step.variable_values()
    scan = _unrolled if unroll else ops.scan
    (states, values), outputs = scan(step, carry, steps)
    step.assign(values)
    return outputs[-1], ops.swapaxes(outputs, 0, 1), states


class _Step:
    """One step as a function from what is carried, and now seen, to what is carried and put out."""

    def __init__(self, cell, training, zero_output_for_mask):
        self.cell = cell
        self.training = training
        self.zero_output_for_mask = zero_output_for_mask
        self.weights = full_precision(cell.trainable_variables)
        self.changed: set[int] = set()

    def variable_values(self):
        return full_precision(self.cell.non_trainable_variables)

    def assign(self, values):
        for i in sorted(self.changed):
            self.cell.non_trainable_variables[i].assign(values[i])

    def __call__(self, carry, now):
        (states, values), (inputs, *mask) = carry, now
        new_states, new_values = stateless_step(
            self.cell, self.weights, values, inputs, states, self.training
        )
        self.changed.update(
            i for i, (new, old) in enumerate(zip(new_values, values, strict=True)) if new is not old
        )
        if not mask:
            return (list(new_states), new_values), new_states[0]
        new_states = [
            ops.where(mask[0], new, old) for new, old in zip(new_states, states, strict=True)
        ]
        output = new_states[0]
        if self.zero_output_for_mask:
            output = ops.where(mask[0], output, ops.zeros_like(output))
        return (new_states, new_values), output


def _unrolled(step, carry, steps):
    outputs = []
    for now in zip(*(ops.unstack(part, axis=0) for part in steps), strict=True):
        carry, output = step(carry, now)
        outputs.append(output)
    return carry, ops.stack(outputs)


def full_precision(variables):
    """The variables' values as they are, also where Keras would cast them to half precision."""
    with without_autocast():
        return [variable.value for variable in variables]


def stateless_step(cell, weights, values, inputs, states, training):
    """A step of a cell with its variables given: trainable `weights`, and other `values`.

    Like `cell.stateless_call`, but both stay in full precision until they are used, so that the
    gradients of many steps are summed in it.

    Returns:
        `(new_states, new_values)`; a value that did not change is the same object.
    """
    variables = [*cell.trainable_variables, *cell.non_trainable_variables]
    scope = keras.StatelessScope()
    # Not given to the scope at once: it would round them to the type that Keras casts to now.
    for update in zip(variables, [*weights, *values], strict=True):
        scope.add_update(update)
    with scope:
        _, new_states = cell.call(inputs, states, training=training)
    return new_states, [scope.get_current_value(v) for v in cell.non_trainable_variables]
