"""What changes in the machine while a training goes on: imports neither Keras nor a backend."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Schedule(NamedTuple):
    """How far the training is, for `NeuralTuringMachine.scheduled`.

    Numbers, or scalar tensors, so that one compiled program serves all steps, and all machines
    that differ in nothing but numbers.

    Attributes:
        clip_scale: multiplies `state_clip_norm`. Finite: infinity times a gradient that counts as
            infinite is nothing.
        clutter_scale: multiplies `Perturbation.memory_clutter`.
        numbers: in place of the machine's own, by their names in `NTMCell.numbers`.
    """

    clip_scale: Any = 1.0
    clutter_scale: Any = 1.0
    numbers: Mapping[str, Any] = MappingProxyType({})
