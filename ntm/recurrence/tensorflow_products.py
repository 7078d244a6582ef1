"""A controller's products with matrices, in the backward pass of the loop on TensorFlow."""

import contextlib
import functools
from typing import Any

import tensorflow as tf

# At most so many time steps of the gradient of a matrix are summed in one product: enough for a
# large product, few enough to end not far from the end of the longest sequence.
SUMMED_STEPS = 24


class Products:
    """The products of controller and readout with matrices in the backward pass.

    Inside the loop, each has an offset of zeros added whose gradient is that of the product. This
    and the product's inputs are kept in arrays, of which the gradient of the matrices is made.
    """

    def __init__(self, cell, weights):
        variables = cell.trainable_variables
        place = {id(variable): i for i, variable in enumerate(variables)}
        self.weights = weights
        # Of each network, the stages that have a product; the lists below are of all of them.
        self.stages: list[tuple[Any, list[int]]] = []
        found = []
        for network in cell.networks:
            products = network.products(variables, cell.compute_dtype)
            self.stages.append((network, list(products)))
            found.extend(products.values())
        self.kernels = [[place[id(v)] for v in product.kernels] for product in found]
        self.biases = [
            None if product.bias is None else place[id(product.bias)] for product in found
        ]
        used = {place[id(v)] for product in found for v in product.variables}
        self.others = [i for i in range(len(weights)) if i not in used]
        self.transposed = {i: tf.transpose(self.weights[i]) for each in self.kernels for i in each}

    @property
    def other_weights(self):
        """The weights that are in no product."""
        return [self.weights[i] for i in self.others]

    def zeros(self, inputs):
        """For each product, zeros in the shapes of its inputs and of its value, (B, width) each."""
        batch = inputs.shape[1] or tf.shape(inputs)[1]
        zeros = []
        for kernels in self.kernels:
            values = [self.weights[i] for i in kernels]
            widths = [*(value.shape[0] for value in values), values[0].shape[1]]
            zeros.append([tf.zeros((batch, width), values[0].dtype) for width in widths])
        return zeros

    @contextlib.contextmanager
    def apart(self, offsets):
        """Steps inside of it add the offsets; a list for each product gets its inputs."""
        factors: list[list[Any]] = [[] for _ in self.kernels]

        def multiply(index, inputs):
            factors[index].extend(inputs)
            value = offsets[index]
            for place, factor in zip(self.kernels[index], inputs, strict=True):
                value = value + _times(factor, self.weights[place], self.transposed[place])
            bias = self.biases[index]
            return value if bias is None else value + self.weights[bias]

        functions = (functools.partial(multiply, index) for index in range(len(self.kernels)))
        with contextlib.ExitStack() as stack:
            for network, stages in self.stages:
                stack.enter_context(network.multiplying({i: next(functions) for i in stages}))
            yield factors

    def with_others(self, d_weights, d_others):
        """Gradients of all weights, those of a step added for the weights in no product."""
        d_weights = list(d_weights)
        for place, gradient in zip(self.others, d_others, strict=True):
            d_weights[place] += gradient
        return d_weights

    def array_size(self, most):
        """Steps that the arrays of `with_sums` need to hold, for at most so many."""
        blocks, steps = _blocks(most)
        return blocks * steps

    def with_sums(self, d_weights, kept, count, most):
        """Gradients of all weights, those of `count` steps added for the weights in products.

        kept: for each product, its inputs at each step and its gradient, (`array_size(most)`, B,
            width) each, zero after the steps.
        """
        if not self.kernels:
            return d_weights
        blocks, steps = _blocks(most)

        def body(start, d_weights):
            d_weights = list(d_weights)
            for kernels, bias, values in zip(self.kernels, self.biases, kept, strict=True):
                *factors, gradient = (_rows(each, start, steps) for each in values)
                for place, factor in zip(kernels, factors, strict=True):
                    d_weights[place] += tf.matmul(factor, gradient, transpose_a=True)
                if bias is not None:
                    d_weights[bias] += tf.reduce_sum(gradient, axis=0)
            return start + steps, d_weights

        _, d_weights = tf.while_loop(
            lambda start, _: start < count,
            body,
            (tf.constant(0), list(d_weights)),
            maximum_iterations=blocks,
        )
        return d_weights


def _blocks(length):
    """So many blocks of so many steps, at most `SUMMED_STEPS`, hold a number of steps."""
    blocks = -(-length // SUMMED_STEPS)
    if not isinstance(length, int):
        return blocks, SUMMED_STEPS
    return blocks, -(-length // max(1, blocks))


def _rows(values, start, steps):
    """So many steps of (T, B, width), one below the other."""
    width = values.shape[-1]
    batch = values.shape[1] or tf.shape(values)[1]
    # Not `values[start:end]`, whose size is no constant to XLA.
    return tf.reshape(tf.slice(values, [start, 0, 0], [steps, batch, width]), (-1, width))


def _times(inputs, kernel, transposed):
    """The product of inputs and kernel, whose gradient reaches the inputs alone."""

    @tf.custom_gradient
    def product(inputs):
        return tf.matmul(inputs, kernel), lambda upstream: tf.matmul(upstream, transposed)

    return product(inputs)
