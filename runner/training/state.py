"""What a training has done so far, as its checkpoints keep it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TrainingState:
    """What a training has done so far.

    seconds: training alone, without compilation and evaluation, of `timed_steps` steps.
    restarts: how often it has begun again with other weights; steps and sequences count on.
    began: the step before the first one of the present weights.
    judged: whether it was decided to keep them.
    rollbacks: how often it has gone back to weights of an earlier evaluation.
    good: the step of the last evaluation that was good enough to go back to.
    history: the training curve, a point every `log_every` steps.
    unlogged: what the steps since the last point gave, each as a `StepResult` lists it.
    evaluations: the results of the scheduled evaluations.
    """

    step: int = 0
    seconds: float = 0.0
    timed_steps: int = 0
    compile_seconds: float = 0.0
    solved_at_sequences: int | None = None
    restarts: int = 0
    began: int = 0
    judged: bool = False
    rollbacks: int = 0
    good: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    unlogged: list[list[float]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
