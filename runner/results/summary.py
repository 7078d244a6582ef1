"""The tables of a study as Markdown: what was solved, how soon, and how well each case went."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from runner.results.study import UNFINISHED, Seed, Study
from runner.results.table import cell, table


class Score(NamedTuple):
    """A score of a case: its name in `metrics.json` without `_per_sequence`, and in words."""

    name: str
    words: str


WRONG = Score("bit_errors", "wrong bits")
LOSS = Score("loss_bits", "loss, bits")
# What says most about a task, where it is not its wrong bits alone.
SCORES = {
    "repeat_copy": (
        WRONG,
        Score("content_errors", "wrong content bits"),
        Score("marker_errors", "wrong marker bits"),
    ),
    "ngrams": (Score("excess_bits", "bits above the optimum"), LOSS),
    "priority_sort": (LOSS, WRONG),
}
COUNTED = ("_errors",)  # scores that can be exactly zero


def scores(study: Study) -> tuple[Score, ...]:
    """The scores to show for the task, the most telling first."""
    return SCORES.get(study.task.name, (WRONG,))


def tables(study: Study, bound: float) -> str:
    """All tables of a study.

    bound: count the seeds that stay below this score in each case.
    """
    parts = [
        f"## {study.task.name}: runs",
        table(_run_rows(study)),
        "A run that did not solve the task counts as never in the median and the worst. "
        "Seconds are those of training, without compilation and evaluation.",
        f"## {study.task.name}: cases",
        table(_case_rows(study, bound)),
        "A sequence, over the runs that were evaluated; counts are out of all runs.",
        f"## {study.task.name}: seeds",
        table(_seed_rows(study)),
    ]
    unfinished = _unfinished(study)
    if unfinished:
        parts += [f"## {study.task.name}: not finished, counted as not solved", unfinished]
    return "\n\n".join(parts)


def _run_rows(study: Study) -> list[list[Any]]:
    rows: list[list[Any]] = [
        [
            *("", "runs", "solved", "solved at the end", "sequences to solve, median", "worst"),
            *("training, s, median", "worst", "parameters"),
        ]
    ]
    for label, seeds in study.seeds.items():
        solved = [_number(seed.metric("solved_at_sequences"), math.inf) for seed in seeds]
        seconds = [seed.metric("seconds") for seed in seeds if seed.metric("seconds") is not None]
        rows.append(
            [
                label,
                len(seeds),
                f"{sum(map(math.isfinite, solved))} of {len(seeds)}",
                _ended_solved(study, label),
                _sequences(statistics.median(solved)),
                _sequences(max(solved)),
                _seconds(statistics.median(seconds)) if seconds else None,
                _seconds(max(seconds)) if seconds else None,
                _range([seed.metric("parameters") for seed in seeds]),
            ]
        )
    return rows


def _ended_solved(study: Study, label: str) -> str | None:
    """How many ended solved; None if no run was evaluated on the case that would tell."""
    seeds, task = study.seeds[label], study.tasks.get(label)
    evaluated = [seed for seed in seeds if seed.cases]
    if task and evaluated and not any(task.solved_case() in seed.cases for seed in evaluated):
        return None
    return f"{sum(seed.run.status == 'solved' for seed in seeds)} of {len(seeds)}"


def _case_rows(study: Study, bound: float) -> list[list[Any]]:
    rows: list[list[Any]] = [
        ["", "case", "score", "median", "worst", "none wrong", f"below {bound:g}"]
    ]
    for label, seeds in study.seeds.items():
        for case in study.cases:
            for score in scores(study):
                values = values_of(seeds, case, score)
                if values:
                    rows.append([label, case, *_case_cells(values, score, bound, len(seeds))])
    return rows


def _case_cells(values: Sequence[float], score: Score, bound: float, runs: int) -> list[Any]:
    none = f"{sum(value == 0 for value in values)} of {runs}"
    return [
        score.words,
        statistics.median(values),
        max(values),
        none if score.name.endswith(COUNTED) else None,
        f"{sum(value < bound for value in values)} of {runs}",
    ]


def _seed_rows(study: Study) -> list[list[Any]]:
    wanted = [(case, score) for case in study.cases for score in scores(study)]
    several = len(scores(study)) > 1
    heads = [f"{case}, {score.words}" if several else case for case, score in wanted]
    rows: list[list[Any]] = [["", "seed", "status", "solved at", "training, s", *heads]]
    for label, seeds in study.seeds.items():
        for seed in sorted(seeds, key=lambda seed: _number(seed.seed, math.inf)):
            solved = _number(seed.metric("solved_at_sequences"), math.inf)
            rows.append(
                [
                    *(label, seed.seed, seed.run.status),
                    _sequences(solved) if seed.run.metrics else None,
                    _seconds(seed.metric("seconds")),
                    *(seed.score(case, score.name) for case, score in wanted),
                ]
            )
    return rows


def _unfinished(study: Study) -> str:
    return "\n".join(
        f"- {label}, {_where(seed)}: {seed.run.status}"
        + (f", {cell(seed.run.error)}" if seed.run.error else "")
        for label, seeds in study.seeds.items()
        for seed in seeds
        if seed.run.status in UNFINISHED
    )


def _where(seed: Seed) -> str:
    return f"{seed.folder}" if seed.seed is None else f"seed {seed.seed} in {seed.folder}"


def values_of(seeds: Sequence[Seed], case: str, score: Score) -> list[float]:
    """The score of every seed that was evaluated on the case."""
    found = (seed.score(case, score.name) for seed in seeds)
    return [value for value in found if value is not None]


def _number(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) else otherwise


def _sequences(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _range(values: Sequence[int | None]) -> str:
    known = sorted({value for value in values if value is not None})
    return " to ".join(f"{value:,}" for value in known[:1] + known[1:][-1:])
