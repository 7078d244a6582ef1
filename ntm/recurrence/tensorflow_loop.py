"""The recurrence over time on TensorFlow: what is faster than the loop of `keras.layers.RNN`.

With the same results: the loop runs only over the steps that some sequence of the batch has
unmasked, with one XLA compilation a padded shape; the backward pass keeps the carried state of each
step and nothing else, and computes the rest again, which is cheaper than storing it; the
controller's matrices are transposed once before its steps, and their gradients summed after them.
"""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from ntm.recurrence.loop import full_precision, stateless_step
from ntm.recurrence.tensorflow_products import Products


def recurrence(
    cell,
    sequences,
    initial_state,
    mask=None,
    training=False,
    go_backwards=False,
    zero_output_for_mask=False,
    return_sequences=True,
    segment=None,
):
    """Runs a cell over time, as `keras.layers.RNN.inner_loop` does.

    Args:
        cell: an `ntm.cell.NTMCell`, built.
        sequences: (B, T, input_dim).
        initial_state: list of (B, size).
        mask: (B, T) bool or None; a masked step changes no state and repeats the output.
        training: passed to the cell.
        go_backwards: run from the last step to the first; outputs are in the order of running.
        zero_output_for_mask: put out zeros on masked steps.
        return_sequences: if False, `outputs` is not filled.
        segment: None, or in training the number of steps between states kept for the gradient,
            which then computes each segment a second time.

    Returns:
        `(last_output, outputs, states)`: (B, units), (B, T, units), list of (B, size).
    """
    inputs = tf.transpose(sequences, (1, 0, 2))
    if mask is not None:
        mask = tf.transpose(tf.cast(mask, tf.bool))[:, :, None]
    if go_backwards:
        inputs = tf.reverse(inputs, [0])
        mask = mask if mask is None else tf.reverse(mask, [0])
    loop = _Loop(cell, inputs, mask, training, return_sequences, segment)
    outputs, states = loop.run(list(initial_state))
    last_output = states[0]
    if not return_sequences:
        outputs = last_output[None]
    elif mask is not None:
        outputs = _fill_masked(outputs, mask, loop, initial_state[0], last_output)
    if mask is not None and zero_output_for_mask:
        last_output = tf.where(mask[-1], last_output, tf.zeros_like(last_output))
        if return_sequences:
            outputs = tf.where(mask, outputs, tf.zeros_like(outputs))
    return last_output, tf.transpose(outputs, (1, 0, 2)), states


def _fill_masked(outputs, mask, loop, first, last):
    """Outputs of the steps that the loop skipped: before it the initial, after it the last one."""
    time = tf.range(tf.shape(mask)[0])[:, None, None]
    outputs = tf.where(time < loop.start, first[None], outputs)
    return tf.where(time >= loop.end, last[None], outputs)


class _Part(NamedTuple):
    """Steps from `start` to before `end`, at most `most` of them."""

    start: Any
    end: Any
    most: Any


class _Given(NamedTuple):
    """What the gradient of each step needs: the first `output` stands for all of them."""

    inputs: Any
    output: Any
    products: Products
    d_outputs: Any


class _Loop:
    """The loop and its gradient, over time-major inputs (T, B, input_dim) and mask (T, B, 1)."""

    def __init__(self, cell, inputs, mask, training, return_sequences, segment):
        self.cell = cell
        self.inputs = inputs
        self.mask = mask
        self.training = training
        self.return_sequences = return_sequences
        self.length = inputs.shape[0] or tf.shape(inputs)[0]
        self.segment = segment
        self.start, self.end = _bounds(mask, self.length)
        if mask is not None and not training:
            # The shape of an output is that of one that was written.
            self.end = tf.maximum(self.end, 1)
        self.changed: set[int] = set()
        # `keras.layers.RNN` forgets the masks before the backward pass needs them.
        self.dropout_masks = cell.dropout_masks()

    def run(self, states):
        """`(outputs (T, B, units), states)`; outputs outside of start and end say nothing."""
        weights = full_precision(self.cell.trainable_variables)
        constants = full_precision(self.cell.non_trainable_variables)
        forward = self._differentiable if self.training else self._forward
        shaped = _reshaped(states, self.cell.state_shapes)
        outputs, states, constants = forward(self.inputs, shaped, constants, weights)
        if self.training:
            for i in sorted(self.changed):
                self.cell.non_trainable_variables[i].assign(constants[i])
        return outputs, _flattened(states)

    def _step(self, time, inputs, states, constants, weights):
        new_states, new_constants = stateless_step(
            self.cell, weights, constants, inputs, _flattened(states), self.training
        )
        new_states = _reshaped(new_states, self.cell.state_shapes)
        self.changed.update(
            i
            for i, (new, old) in enumerate(zip(new_constants, constants, strict=True))
            if new is not old
        )
        if self.mask is not None:
            valid = self.mask[time]
            new_states = [
                tf.where(tf.reshape(valid, (-1, *[1] * (len(new.shape) - 1))), new, old)
                for new, old in zip(new_states, states, strict=True)
            ]
        return list(new_states), list(new_constants)

    def _forward(self, inputs, states, constants, weights, keep=False):
        """The loop; with `keep`, also the arrays of states that the gradient starts from."""
        outputs = [self._outputs(states[0])] if self.return_sequences else []
        carried = (states, constants, outputs)
        if keep and self.segment:
            carried, kept = self._segments(inputs, weights, carried)
        else:
            kept = self._arrays(states, constants, self.length) if keep else []
            carried, kept = self._steps(inputs, weights, carried, kept, self._whole())
        states, constants, outputs = carried
        outputs = self._stacked(outputs[0]) if outputs else tf.zeros_like(states[0])[None]
        return (outputs, states, constants, kept) if keep else (outputs, states, constants)

    def _steps(self, inputs, weights, carried, kept, part):
        """The steps of one part.

        Args:
            inputs: (T, B, input_dim).
            weights: the cell's trainable weights.
            carried: `(states, constants, outputs)`, outputs a list of no or one array to write to.
            kept: arrays that get what the cell carries before each step, from index 0 on; or none.
            part: a `_Part`.

        Returns:
            `(carried, kept)` after the steps.
        """

        def body(time, states, constants, outputs, kept):
            kept = kept and _written(kept, time - part.start, states, constants)
            states, constants = self._step(time, inputs[time], states, constants, weights)
            place = time if self.training else time - self.start
            outputs = [_write(array, place, states[0]) for array in outputs]
            return time + 1, states, constants, outputs, kept

        _, *carried, kept = tf.while_loop(
            lambda time, *_: time < part.end,
            body,
            (part.start, *carried, kept),
            maximum_iterations=part.most,
        )
        return carried, kept

    def _segments(self, inputs, weights, carried):
        """All steps, in segments; kept is only what the cell carries before each segment."""
        states, constants, _ = carried
        most = -(-self.length // self.segment)

        def body(index, states, constants, outputs, kept):
            kept = _written(kept, index, states, constants)
            carried = (states, constants, outputs)
            carried, _ = self._steps(inputs, weights, carried, [], self._part(index))
            return index + 1, *carried, kept

        _, *carried, kept = tf.while_loop(
            lambda index, *_: index < self._count(),
            body,
            (tf.constant(0), *carried, self._arrays(states, constants, most)),
            maximum_iterations=most,
        )
        return carried, kept

    def _whole(self):
        return _Part(self.start, self.end, self.length)

    def _part(self, index):
        start = self.start + index * self.segment
        return _Part(start, tf.minimum(start + self.segment, self.end), self.segment)

    def _count(self):
        """The number of segments from start to end."""
        return -(-(self.end - self.start) // self.segment)

    def _differentiable(self, inputs, states, constants, weights):
        sizes = (1, len(states), len(constants), len(weights))

        @tf.custom_gradient
        def run(*flat):
            (inputs,), states, constants, weights = _split(flat, sizes)
            outputs, last, final, kept = self._forward(
                inputs, states, constants, weights, keep=True
            )

            def gradient(*upstream):
                d_outputs, d_states = upstream[0], list(upstream[1 : 1 + len(last)])
                with self.cell.use_dropout_masks(self.dropout_masks):
                    d_inputs, d_states, d_weights = self._backward(
                        inputs, states[0], weights, kept, d_outputs, d_states
                    )
                return (d_inputs, *d_states, *[None] * len(constants), *d_weights)

            return (outputs, *last, *final), gradient

        flat = run(inputs, *states, *constants, *weights)
        (outputs,), states, constants = _split(flat, sizes[:3])
        return outputs, states, constants

    def _backward(self, inputs, output, weights, kept, d_outputs, d_states):
        """Gradients of inputs, initial states and weights, computing each step again."""
        # The last output is in the state for masked steps only, where its value is not used.
        weights = [tf.convert_to_tensor(weight) for weight in weights]
        given = _Given(inputs, tf.zeros_like(output), Products(self.cell, weights), d_outputs)
        d_inputs = self._array(inputs[0], self.length)
        sums = (d_states, [tf.zeros_like(weight) for weight in weights], d_inputs)
        if self.segment:
            sums = self._backward_segments(given, kept, sums)
        else:
            sums = self._backward_steps(given, kept, sums, self._whole())
        d_states, d_weights, d_inputs = sums
        return d_inputs.stack(), d_states, d_weights

    def _backward_steps(self, given, kept, sums, part):
        """The gradient of `_steps`.

        Args:
            given: a `_Given`.
            kept: what `_steps` kept.
            sums: `(d_states, d_weights, d_inputs)` of the steps after this part, the last an array.
            part: the same `_Part`.

        Returns:
            The sums with this part's steps added.
        """
        inputs, output, products, d_outputs = given
        count = len(sums[0]) - 1
        zeros = products.zeros(inputs)
        size = products.array_size(part.most)
        seen = tf.nest.map_structure(lambda value: self._array(value, size), zeros)

        def body(time, d_states, d_weights, d_inputs, seen):
            time = time - 1
            values = [array.read(time - part.start) for array in kept]
            states = [output, *values[:count]]
            step_inputs = inputs[time]
            if self.return_sequences:
                d_states = [d_states[0] + d_outputs[time], *d_states[1:]]
            offsets = [each[-1] for each in zeros]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch((step_inputs, states, products.other_weights, offsets))
                with products.apart(offsets) as factors:
                    new_states, _ = self._step(
                        time, step_inputs, states, values[count:], products.weights
                    )
            d_step, d_states, d_others, d_products = tape.gradient(
                new_states,
                (step_inputs, states, products.other_weights, offsets),
                output_gradients=d_states,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            d_weights = products.with_others(d_weights, d_others)
            factors = [[*these, d] for these, d in zip(factors, d_products, strict=True)]
            seen = tf.nest.map_structure(
                lambda array, value: _write(array, time - part.start, value), seen, factors
            )
            return time, d_states, d_weights, _write(d_inputs, time, d_step), seen

        _, *sums, seen = tf.while_loop(
            lambda time, *_: time > part.start,
            body,
            (part.end, *sums, seen),
            maximum_iterations=part.most,
        )
        d_states, d_weights, d_inputs = sums
        seen = tf.nest.map_structure(lambda array: array.stack(), seen)
        d_weights = products.with_sums(d_weights, seen, part.end - part.start, part.most)
        return d_states, d_weights, d_inputs

    def _backward_segments(self, given, kept, sums):
        """The gradient of `_segments`: the last first, each run once more to keep its states."""
        count = len(sums[0]) - 1

        def body(index, *sums):
            index = index - 1
            values = [array.read(index) for array in kept]
            states, constants = [given.output, *values[:count]], values[count:]
            inside = self._arrays(states, constants, self.segment)
            carried, part = [states, constants, []], self._part(index)
            _, inside = self._steps(given.inputs, given.products.weights, carried, inside, part)
            return index, *self._backward_steps(given, inside, sums, part)

        _, *sums = tf.while_loop(
            lambda index, *_: index > 0,
            body,
            (self._count(), *sums),
            maximum_iterations=-(-self.length // self.segment),
        )
        return sums

    def _outputs(self, output):
        """An array for the outputs, in inference from index 0 on.

        Converters to ONNX know an array as what a loop puts out, one row a step and nothing more:
        neither filled with zeros at first nor written where the loop likes.
        """
        if self.training:
            return self._array(output, self.length)
        return tf.TensorArray(output.dtype, size=self.length, element_shape=output.shape)

    def _stacked(self, outputs):
        """Such an array as (T, B, units), each output at its time."""
        outputs = outputs.stack()
        if self.training or self.mask is None:
            return outputs
        times = tf.clip_by_value(tf.range(self.length), self.start, self.end - 1)
        return tf.gather(outputs, times - self.start)

    def _arrays(self, states, constants, size):
        return [self._array(value, size) for value in (*states[1:], *constants)]

    def _array(self, value, size):
        array = tf.TensorArray(
            value.dtype, size=size, element_shape=value.shape, clear_after_read=False
        )
        if value.shape.is_fully_defined():
            return array
        # A batch without any step would leave an array of nothing, of which no shape is known.
        return array.unstack(tf.zeros(tf.concat([[size], tf.shape(value)], 0), value.dtype))


def _reshaped(states, shapes):
    return [tf.reshape(state, (-1, *shape)) for state, shape in zip(states, shapes, strict=True)]


def _flattened(states):
    return [tf.reshape(state, (-1, math.prod(state.shape[1:]))) for state in states]


def _bounds(mask, length):
    """First step that any sequence has unmasked, and one past the last such step."""
    if mask is None:
        return tf.constant(0), tf.convert_to_tensor(length)
    used = tf.cast(tf.reduce_any(mask, axis=(1, 2)), tf.int32)
    time = tf.range(length)
    end = tf.reduce_max(used * (time + 1))
    start = tf.reduce_min(tf.where(used > 0, time, end))
    return start, end


def _written(arrays, index, states, constants):
    values = (*states[1:], *constants)
    return [_write(array, index, value) for array, value in zip(arrays, values, strict=True)]


def _write(array, index, value):
    """`array.write`, marked as used: TensorFlow would complain of it after an error in the loop."""
    array = array.write(index, value)
    getattr(array, "mark_used", tuple)()
    return array


def _split(flat, sizes):
    parts, start = [], 0
    for size in sizes:
        parts.append(list(flat[start : start + size]))
        start += size
    return parts
