"""A model's scores on cases: fresh sequences of exact sizes, whatever it was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from runner.training import data
from runner.training.prediction import Predictor
from tasks import Batch, Task


class Evaluator:
    """Scores the cases of a task with one compilation for all of them.

    Args:
        task: the task.
        predict: predictions of the model; its batch size is used.
        cases: the cases that will be asked for; the longest decides the padded length.
        seed: of the run.
        breakdown: also give the accuracy of each output bit and position, see
            `breakdown`.
    """

    def __init__(
        self,
        task: Task,
        predict: Predictor,
        cases: Sequence[str],
        seed: int,
        breakdown: bool = False,
    ) -> None:
        self.task = task
        self.predict = predict
        self.cases = list(cases)
        self.seed = seed
        self.breakdown = breakdown
        self.steps = max(task.steps(**task.parse_case(case)) for case in cases)

    def __call__(
        self,
        sequences: int,
        stream: int,
        number: int = 0,
        weights: Sequence[Any] | None = None,
        cases: Sequence[str] | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Summaries by case, on as many fresh sequences each.

        stream, number: as in `data.generator`; another number draws other sequences.
        weights: trainable weights in place of the model's own.
        cases: some of the evaluator's, by default all.
        """
        return {
            case: self._summary(case, sequences, data.generator(self.seed, stream, number), weights)
            for case in cases or self.cases
        }

    def sample(self, case: str, weights: Sequence[Any] | None = None) -> tuple[Batch, Any]:
        """One batch of a case and the model's probabilities (B, T, output_dim) for it."""
        batch = self._batch(case, data.generator(self.seed, data.FINAL, 1))
        return batch, self.predict(batch.inputs, batch.mask, weights)

    def _batch(self, case: str, rng: np.random.Generator) -> Batch:
        sizes = self.task.parse_case(case)
        return self.task.sample(rng, self.predict.batch_size, steps=self.steps, **sizes)

    def _summary(
        self, case: str, sequences: int, rng: np.random.Generator, weights: Sequence[Any] | None
    ) -> dict[str, Any]:
        scores: list[dict[str, Any]] = []
        seen: list[tuple[Any, ...]] = []
        for _ in range(-(-sequences // self.predict.batch_size)):
            batch = self._batch(case, rng)
            probabilities = self.predict(batch.inputs, batch.mask, weights)
            scores.append(self.task.score(batch, probabilities))
            if self.breakdown:
                seen.append((batch.targets, probabilities, batch.loss_mask))
        summary: dict[str, Any] = self.task.summarise(
            {key: np.concatenate([s[key] for s in scores])[:sequences] for key in scores[0]}
        )
        if seen:
            summary |= breakdown(*(np.concatenate(part) for part in zip(*seen, strict=True)))
        return summary


def breakdown(
    targets: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The share of right bits for every output bit and every scored position.

    Args:
        targets: (B, T, output_dim), bits, of sequences of one case.
        probabilities: (B, T, output_dim), what the model gives for a 1.
        weights: (B, T, output_dim), 1 where a bit counts.

    Returns:
        `accuracy_by_bit` (output_dim,), NaN for a bit that never counts, and
        `accuracy_by_position` (positions,), the steps at which some bit counts, in their order.
    """
    right = ((probabilities > 0.5) == (targets > 0.5)) * weights
    by_bit, by_step = weights.sum(axis=(0, 1)), weights.sum(axis=(0, 2))
    positions = by_step > 0
    with np.errstate(invalid="ignore"):
        return {
            "accuracy_by_bit": right.sum(axis=(0, 1)) / by_bit,
            "accuracy_by_position": right.sum(axis=(0, 2))[positions] / by_step[positions],
        }
