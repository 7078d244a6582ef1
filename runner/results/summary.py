"""The tables of a study: what was solved, how soon, and how well each case went."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.errors import ConfigError
from runner.results.runs import ENDED
from runner.results.study import HELD, PER_SEQUENCE, Seed, Study
from runner.results.table import cell, markdown

if TYPE_CHECKING:
    import pandas as pd


class Score(NamedTuple):
    """A score of a case: its name in `metrics.json` without `_per_sequence`, and in words."""

    name: str
    words: str

    def of(self, case: str) -> str:
        """The column of a case in `seeds_frame`."""
        return f"{case} {self.name}{PER_SEQUENCE}"


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
LABEL, SOLVED_AT, LOST_AGAIN = "label", "solved_at_sequences", "lost_again"
# Of each seed, beside its scores.
FACTS = ("parameters", SOLVED_AT, "sequences", "restarts", "rollbacks", "seconds")


def scores(study: Study) -> tuple[Score, ...]:
    """The scores to show for the task, the most telling first."""
    return SCORES.get(study.task.name, (WRONG,))


def seeds_frame(study: Study) -> pd.DataFrame:
    """A row a run: label, seed, status, its facts, and all its scores a sequence by case."""
    import pandas as pd

    columns = [key for case in study.cases for key in _scores_of(study, case)]
    rows = [
        {LABEL: label, "seed": seed.seed, "status": seed.run.status}
        | {key: seed.metric(key) for key in (*FACTS, *columns)}
        | {LOST_AGAIN: seed.lost_again(study.task)}
        for label, seeds in study.seeds.items()
        for seed in sorted(seeds, key=_by_seed)
    ]
    heads = [LABEL, "seed", "status", *FACTS, LOST_AGAIN, *columns]
    return pd.DataFrame(rows, columns=heads, dtype=object)


def as_csv(study: Study) -> str:
    """The seeds of a study with one label as docs/results has them. Raises ConfigError."""
    if len(study.seeds) > 1:
        raise ConfigError(
            f"--csv is for the seeds of one kind of run, and these are {len(study.seeds)}: "
            f"{'; '.join(study.seeds)}. State the folders of one of them."
        )
    frame = seeds_frame(study).drop(columns=LABEL)
    unused = [column for column in ("restarts", "rollbacks") if not frame[column].any()]
    frame = frame.drop(columns=unused)
    text: str = frame.to_csv(index=False)
    return text


def tables(study: Study, bound: float) -> str:
    """All tables of a study, as Markdown.

    bound: count the seeds that stay below this score in each case.
    """
    frame = seeds_frame(study)
    parts = [
        f"## {study.task.name}: runs",
        markdown(_runs(study, frame)),
        "A run that did not solve the task counts as never in the median and the worst. Not lost "
        "again: no scheduled evaluation after the first solved one misses the criterion with over "
        f"{HELD} wrong bits. "
        "Seconds are those of training, without compilation and evaluation.",
        f"## {study.task.name}: cases",
        markdown(_cases(study, frame, bound)),
        "A sequence, over the runs that were evaluated; counts are out of all runs.",
        f"## {study.task.name}: seeds",
        markdown(_seeds(study, frame)),
    ]
    unfinished = _unfinished(study)
    if unfinished:
        parts += [f"## {study.task.name}: not finished, counted as not solved", unfinished]
    return "\n\n".join(parts)


def _runs(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for label, group in frame.groupby(LABEL, sort=False):
        soon = pd.to_numeric(group[SOLVED_AT]).fillna(math.inf)
        seconds = pd.to_numeric(group["seconds"]).dropna()
        parameters = pd.to_numeric(group["parameters"])
        rows.append(
            {
                "": label,
                "runs": len(group),
                "solved": f"{(soon < math.inf).sum()} of {len(group)}",
                "solved at the end": _ended_solved(study, str(label)),
                "not lost again": _held(group),
                "sequences to solve, median": _count(soon.median()),
                "worst": _count(soon.max()),
                "training, s, median": _count(seconds.median()),
                "longest": _count(seconds.max()),
                "parameters": " to ".join(
                    dict.fromkeys(_count(value) for value in (parameters.min(), parameters.max()))
                ),
            }
        )
    return pd.DataFrame(rows)


def _held(group: pd.DataFrame) -> str | None:
    """How many solved the task and did not lose it again; None if none has evaluations to tell."""
    lost = group[LOST_AGAIN]
    return f"{(lost == 0).sum()} of {len(group)}" if lost.notna().any() else None


def _ended_solved(study: Study, label: str) -> str | None:
    """How many ended solved; None if no run was evaluated on the case that would tell."""
    seeds, task = study.seeds[label], study.tasks.get(label)
    evaluated = [seed for seed in seeds if seed.cases]
    if task and evaluated and not any(task.solved_case() in seed.cases for seed in evaluated):
        return None
    return f"{sum(seed.run.status == 'solved' for seed in seeds)} of {len(seeds)}"


def _cases(study: Study, frame: pd.DataFrame, bound: float) -> pd.DataFrame:
    import pandas as pd

    heads = ["", "case", "score", "median", "worst", "none wrong", f"below {bound:g}"]
    rows = []
    for label, group in frame.groupby(LABEL, sort=False):
        for case in study.cases:
            for score in scores(study):
                values = pd.to_numeric(group.get(score.of(case), pd.Series())).dropna()
                if len(values):
                    none = f"{(values == 0).sum()} of {len(group)}"
                    counted = none if score.name.endswith(COUNTED) else None
                    below = f"{(values < bound).sum()} of {len(group)}"
                    numbers = [values.median(), values.max(), counted, below]
                    rows.append([label, case, score.words, *numbers])
    return pd.DataFrame(rows, columns=heads)


def _seeds(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    shown = frame[[LABEL, "seed", "status"]].rename(columns={LABEL: ""})
    known = frame["seconds"].notna()
    shown["solved at"] = [
        _count(value if value is not None else math.inf) if evaluated else None
        for value, evaluated in zip(frame[SOLVED_AT], known, strict=True)
    ]
    shown["training, s"] = frame["seconds"].map(_count, na_action="ignore")
    several = len(scores(study)) > 1
    for case in study.cases:
        for score in scores(study):
            if score.of(case) in frame:
                head = f"{case}, {score.words}" if several else case
                shown[head] = frame[score.of(case)]
    return shown


def _unfinished(study: Study) -> str:
    return "\n".join(
        f"- {label}, {_where(seed)}: {seed.run.status}"
        + (f", {cell(seed.run.error)}" if seed.run.error else "")
        for label, seeds in study.seeds.items()
        for seed in seeds
        if seed.run.status not in ENDED
    )


def _where(seed: Seed) -> str:
    return f"{seed.folder}" if seed.seed is None else f"seed {seed.seed} in {seed.folder}"


def values_of(seeds: Sequence[Seed], case: str, score: Score) -> list[float]:
    """The score of every seed that was evaluated on the case."""
    found = (seed.score(case, score.name) for seed in seeds)
    return [value for value in found if value is not None]


def _scores_of(study: Study, case: str) -> list[str]:
    """The scores a sequence that any run has of a case."""
    found = (key for seeds in study.seeds.values() for seed in seeds for key in seed.run.metrics)
    return [key for key in dict.fromkeys(found) if key.startswith(f"{case} ") and _a_score(key)]


def _a_score(key: str) -> bool:
    return key.endswith(PER_SEQUENCE)


def _by_seed(seed: Seed) -> float:
    return seed.seed if isinstance(seed.seed, int | float) else math.inf


def _count(value: Any) -> str:
    """A number of sequences, seconds or weights; `never` for one that is not reached."""
    if value != value:  # not a number
        return ""
    return f"{value:,.0f}" if math.isfinite(value) else "never"
