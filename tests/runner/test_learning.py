"""Tasks small enough to be learned in a minute: training finds what each is about.

What must be reached is what a guess that knows less could not: below it, something is broken
between the encoding and the update.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner import job

from .conftest import Compose

MACHINE = (
    *("ntm.n_width=16", "ntm.m_depth=8", "optimizer.learning_rate=3e-3", "trainer.shards=1"),
    "evaluate.sequences=256",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "overrides", "reached"),
    [
        pytest.param(
            "length=5",
            ("task=copy", "task.bits=4", "task.max_length=5", "trainer.steps=2500"),
            # Knowing all vectors but one would leave 2 bits wrong.
            lambda scores: scores["bit_errors_per_sequence"] < 0.1,
            id="copy",
        ),
        pytest.param(
            "length=2,repeats=3",
            (
                *("task=repeat_copy", "task.bits=4", "task.max_length=2", "task.max_repeats=3"),
                "trainer.steps=2000",
            ),
            # Never an end marker would be one wrong bit; only the first copy right, eight.
            lambda scores: (
                scores["marker_errors_per_sequence"] < 0.2
                and scores["content_errors_per_sequence"] < 0.5
            ),
            id="repeat_copy",
        ),
        pytest.param(
            "items=6",
            (
                *("task=associative_recall", "optimizer.learning_rate=1e-3"),
                *("ntm.n_width=128", "ntm.m_depth=20", "trainer.stop_when_solved=true"),
            ),
            # Smaller ones level off on some seeds. A guess between the items has 7.2 bits wrong.
            lambda scores: scores["bit_errors_per_sequence"] < 0.5,
            id="associative_recall",
        ),
        pytest.param(
            "length=60",
            (
                *("task=ngrams", "task.context=1", "task.min_length=60", "task.max_length=60"),
                "trainer.steps=800",
            ),
            # The best estimator that knows no context needs 8.9 bits more than the optimal one.
            lambda scores: scores["excess_bits_per_sequence"] < 4,
            id="ngrams",
        ),
        pytest.param(
            "items=3",
            (
                *("task=priority_sort", "task.bits=3", "task.min_items=3", "task.max_items=3"),
                *("task.targets=2", "trainer.steps=2500"),
            ),
            # In the order of arrival, a third of the vectors is right: 2 bits wrong.
            lambda scores: scores["bit_errors_per_sequence"] < 1,
            id="priority_sort",
        ),
    ],
)
def test_a_small_task_is_learned(
    case: str,
    overrides: tuple[str, ...],
    reached: Callable[[dict[str, float]], bool],
    composed: Compose,
    tmp_path: Path,
) -> None:
    config = composed(*MACHINE, *overrides, f"evaluate.cases=['{case}']")
    job.run(config, tmp_path)
    scores = json.loads((tmp_path / "metrics.json").read_text())["evaluation"][case]
    assert reached(scores), scores
