"""What changes in the machine while a training goes on: imports neither Keras nor a backend."""

from typing import Any, NamedTuple


class Schedule(NamedTuple):
    """How far the training is, for `NeuralTuringMachine.scheduled`.

    Numbers, or scalar tensors, so that one compiled program serves all steps.

    Attributes:
        clip_scale: multiplies `state_clip_norm`. Finite: infinity times a gradient that counts as
            infinite is nothing.
        clutter_scale: multiplies `Perturbation.memory_clutter`.
    """

    clip_scale: Any = 1.0
    clutter_scale: Any = 1.0
