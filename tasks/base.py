"""What every task has in common.

A task has *sizes*, such as `length` or `items` (its `case_keys`). Training draws each of them
from a range (`min_length` to `max_length`); a *case* such as `length=20` fixes them all.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.random import Generator

from tasks.batch import Batch, FloatArray, IntArray, Sizes
from tasks.cases import LARGEST_SIZE, format_case, parse_case, suggestion
from tasks.scores import cross_entropy_bits, wrong_bits

LENGTHS = ("batch", "sequence")
LONGEST_SHOWN = 80  # characters of a text in a message


@dataclasses.dataclass(kw_only=True)
class Task(abc.ABC):
    """One task: a description of its sequences, without any state.

    The dataclass is also the schema of its configuration, so its fields have no defaults here,
    and it is not frozen: a frozen schema could not be filled.

    name: the task's name, as in `task=<name>`.
    lengths: "batch", one draw of the sizes for all sequences of a batch, or "sequence", one draw
        for each; then shorter sequences are padded.

    A subclass names its sizes in `case_keys` and has a field `min_<size>` and `max_<size>` for
    each. Raises ValueError when a field is not from 1 to `LARGEST_SIZE`, or a range not in order.
    """

    case_keys: ClassVar[tuple[str, ...]]
    standard_cases: ClassVar[tuple[str, ...]]

    name: str
    lengths: str

    def __post_init__(self) -> None:
        if self.lengths not in LENGTHS:
            raise ValueError(
                f"task.lengths={self.lengths!r} is not known{suggestion(self.lengths, LENGTHS)}: "
                f"choose one of {', '.join(LENGTHS)}"
            )
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value < 1:
                raise ValueError(f"task.{field.name}={value} must be at least 1")
            if isinstance(value, int) and value > LARGEST_SIZE:
                raise ValueError(f"task.{field.name}={value} must be at most {LARGEST_SIZE}")
        for key, (low, high) in self.ranges.items():
            if low > high:
                raise ValueError(
                    f"task.min_{key}={low} is larger than task.max_{key}={high}: set "
                    f"task.min_{key} to at most {high}, or task.max_{key} to at least {low}"
                )
            self._check_smallest(f"task.min_{key}", low)

    @property
    @abc.abstractmethod
    def input_dim(self) -> int:
        """Channels of the input."""

    @property
    @abc.abstractmethod
    def output_dim(self) -> int:
        """Channels of the output."""

    @abc.abstractmethod
    def rows_needed(self) -> int:
        """Memory rows that the longest training sequence fills, at one vector a row."""

    @abc.abstractmethod
    def durations(self, sizes: Sizes) -> IntArray:
        """Time steps (B,) of the sequences whose sizes (B,) are given."""

    @abc.abstractmethod
    def encode(self, rng: Generator, sizes: Sizes, steps: int, training: bool = False) -> Batch:
        """Draw the sequences whose sizes (B,) are given, padded to `steps`.

        training: draw from what the machine trains on, where that differs from the task.
        """

    @abc.abstractmethod
    def solved(self, summary: Mapping[str, float]) -> bool:
        """Whether the summary of `solved_case()` on fresh sequences counts as solved."""

    @property
    def smallest_size(self) -> int:
        """The smallest value of every size for which the task has a meaning."""
        return 1

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """The training range of each size, both ends included."""
        return {
            key: (getattr(self, f"min_{key}"), getattr(self, f"max_{key}"))
            for key in self.case_keys
        }

    @property
    def max_steps(self) -> int:
        """Steps of the longest training sequence: the static length of training batches."""
        return self.steps(**{key: high for key, (_, high) in self.ranges.items()})

    def steps(self, **sizes: int) -> int:
        """Time steps of one sequence of exactly these sizes, e.g. `steps(length=20)`."""
        if set(sizes) != set(self.case_keys):
            raise ValueError(
                f"{self.name} needs the sizes {', '.join(self.case_keys)}; "
                f"given: {', '.join(sizes) or 'none'}"
            )
        return int(self.durations({key: np.asarray(size) for key, size in sizes.items()}))

    def sample(
        self,
        rng: Generator,
        batch_size: int,
        steps: int | None = None,
        **sizes: int | IntArray,
    ) -> Batch:
        """Draw a batch from `rng`.

        sizes: a whole number for all sequences, or an array (B,) with one for each. A size that
            is not given is drawn from its training range, as `lengths` says.
        steps: the padded length T; None for the steps of the longest sequence that these sizes
            allow, which is `max_steps` when none is given. It has no effect on the draws.

        Raises ValueError for an unknown size, one below `smallest_size`, or too few steps.
        """
        drawn, largest = self._draw_sizes(rng, batch_size, sizes)
        needed = self.steps(**largest)
        steps = needed if steps is None else steps
        if steps < needed:
            raise ValueError(
                f"steps={steps} is too few for {self.name} at {format_case(largest)}, "
                f"which takes {needed}"
            )
        return self.encode(rng, drawn, steps)

    def training_sample(
        self, rng: Generator, batch_size: int, reach: float | FloatArray = 1.0
    ) -> Batch:
        """Draw a batch to train on, of sizes from the training ranges, padded to `max_steps`.

        reach: how much of each range to draw from, from 0, its lower end alone, to 1, all of it;
            or an array (K,) of that for K batches, which then stand one after another in one.
        """
        drawn, _ = self._draw_sizes(rng, batch_size, {}, reach)
        return self.encode(rng, drawn, self.max_steps, training=True)

    def cases(self) -> list[str]:
        """Return the cases that a run is evaluated on, shortest first.

        They are the task's standard ones, and `solved_case()` if it is not among them.
        """
        return sorted(
            {*self.standard_cases, self.solved_case()},
            key=lambda case: self.steps(**self.parse_case(case)),
        )

    def solved_case(self) -> str:
        """Return the case that decides "solved": the largest training sizes."""
        return format_case({key: high for key, (_, high) in self.ranges.items()})

    def trains_on(self, case: str) -> bool:
        """Whether the sizes of a case lie within the training ranges."""
        ranges = self.ranges
        return all(
            ranges[key][0] <= size <= ranges[key][1] for key, size in self.parse_case(case).items()
        )

    def parse_case(self, text: str) -> dict[str, int]:
        """Return the sizes of a case: `"length=10,repeats=20"` is `{"length": 10, "repeats": 20}`.

        Raises ValueError that names what is wrong and shows the right form.
        """
        try:
            return parse_case(text, self.case_keys, self.smallest_size)
        except ValueError as error:
            shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."
            raise ValueError(
                f"{shown!r} is not a case of the task {self.name}: {error}. "
                f"A case has the form {self.solved_case()!r} (set in evaluate.cases)"
            ) from None

    def score(self, batch: Batch, probabilities: FloatArray) -> dict[str, FloatArray]:
        """Scores of each sequence, arrays (B,): `bit_errors`, `bits` that count, `loss_bits`.

        probabilities: (B, T, output_dim), the predicted probability that each bit is 1. A bit is
            predicted as 1 above 0.5. One that is not a number counts as an error.
        """
        return {
            "bit_errors": (wrong_bits(batch, probabilities) * batch.loss_mask).sum((1, 2)),
            "bits": batch.loss_mask.sum((1, 2)),
            "loss_bits": (cross_entropy_bits(batch, probabilities) * batch.loss_mask).sum((1, 2)),
        }

    def summarise(self, scores: Mapping[str, FloatArray]) -> dict[str, float]:
        """Scores of all sequences of a case, arrays (sequences,), as one number each.

        `<score>_per_sequence` is the mean of each score (but `bits`), `bit_accuracy` the share
        of right bits, `sequences_correct` the share of sequences without a wrong bit.
        """
        errors, bits = scores["bit_errors"], scores["bits"]
        means = {
            f"{key}_per_sequence": float(np.mean(score, dtype=np.float64))
            for key, score in scores.items()
            if key != "bits"
        }
        return {
            **means,
            "bit_accuracy": float(1 - np.sum(errors) / np.sum(bits)),
            "sequences_correct": float(np.mean(errors == 0)),
        }

    def _draw_sizes(
        self,
        rng: Generator,
        batch_size: int,
        given: Mapping[str, int | IntArray],
        reach: float | FloatArray = 1.0,
    ) -> tuple[dict[str, IntArray], dict[str, int]]:
        """Return the sizes (B,) of each sequence, and the largest that could be drawn."""
        each = 1 if self.lengths == "batch" else batch_size
        sequences = batch_size * np.size(reach)
        for key in given:
            if key not in self.case_keys:
                raise ValueError(
                    f"{self.name} has no size {key!r}{suggestion(key, self.case_keys)}: "
                    f"its sizes are {', '.join(self.case_keys)}"
                )
        drawn, largest = {}, {}
        for key, (low, high) in self.ranges.items():
            if key in given:
                size = np.asarray(given[key])
                self._check_smallest(key, int(size.min()))
                largest[key] = int(size.max())
            else:
                highest = low + np.rint(np.multiply(reach, high - low)).astype(int)
                size = rng.integers(low, np.repeat(highest, each), endpoint=True)
                largest[key] = high
            drawn[key] = np.repeat(size, sequences // np.size(size))
        return drawn, largest

    def _check_smallest(self, name: str, size: int) -> None:
        if size < self.smallest_size:
            raise ValueError(f"{name}={size}: {self.name} needs at least {self.smallest_size}")
