"""A function that TensorFlow compiles once for the shapes of its arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from runner.training import compiled
from runner.training.dispatch import sync_dispatch


class Program:
    """A TensorFlow function, traced and compiled at its first call with arrays of some shapes.

    Args:
        function: of arrays, and lists of them; it calls others that XLA compiles.
        variables: what it changes.
    """

    def __init__(
        self, function: Callable[..., Any], variables: Callable[[], Sequence[Any]] = tuple
    ) -> None:
        self.function = tf.function(function, autograph=False)
        self.variables = variables
        self._traced: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        # Looking the function up by itself takes TensorFlow 0.13 ms a call.
        shapes = tuple(array.shape for array in tf.nest.flatten(arguments))
        traced = self._traced.get(shapes)
        return traced(*arguments) if traced else self._first(shapes, arguments)

    def _first(self, shapes: Any, arguments: Any) -> Any:
        traced = self.function.get_concrete_function(*arguments)
        before = [tf.identity(tf.convert_to_tensor(variable)) for variable in self.variables()]

        def undo() -> None:
            for variable, value in zip(self.variables(), before, strict=True):
                variable.assign(value)

        with sync_dispatch():
            result = compiled.recovered(lambda: traced(*arguments), undo)
        self._traced[shapes] = traced
        return result
