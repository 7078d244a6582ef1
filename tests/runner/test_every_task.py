"""A run of every task, shrunk: it trains, draws what there is to see, and evaluates at any size.

Copying has its tests in test_job.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from runner import job
from runner.config import checks
from runner.reporting import canvas

from .conftest import TASKS, Compose

SIZES = {
    "repeat_copy": ("task.max_length=2", "task.max_repeats=3"),
    "associative_recall": ("task.max_items=3", "task.item_length=2"),
    "ngrams": ("task.context=2", "task.min_length=12", "task.max_length=12"),
    "priority_sort": ("task.min_items=4", "task.max_items=4", "task.targets=3"),
}
BEYOND = {
    "repeat_copy": "length=3,repeats=5",
    "associative_recall": "items=5",
    "ngrams": "length=20",
    "priority_sort": "items=6",
}
TINY = (
    *("controller=double_dense", "controller.units=5", "ntm.n_width=6", "ntm.m_depth=3"),
    *("ntm.read_heads=2", "ntm.write_heads=1", "trainer.steps=2", "trainer.batch_size=2"),
    "trainer.shards=1",
    *("evaluate.sequences=4", "evaluate.batch_size=4"),
)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that a run saves, by name."""
    kept: dict[str, Figure] = {}
    save = canvas.save

    def keep(figure: Figure, path: Path, *how: Any) -> bytes:
        kept[path.stem] = figure
        return save(figure, path, *how)

    monkeypatch.setattr(canvas, "save", keep)
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TASKS if name != "copy"])
def test_a_task_trains_draws_and_evaluates_beyond_its_training(
    name: str,
    composed: Compose,
    tmp_path: Path,
    drawn: dict[str, Figure],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, evaluation = tmp_path / "run", tmp_path / "evaluation"
    case = BEYOND[name]
    formats = ["png", "gif"] if name == "repeat_copy" else ["png"]  # of all tasks the same
    shown = (f"evaluate.cases=['{case}']", f"figures.format=[{','.join(formats)}]")
    config = composed(f"task={name}", *SIZES[name], *TINY, *shown)
    job.run(config, run)
    assert (run / "figures/heads.gif").exists() == ("gif" in formats)
    own = {"predictions"} if name == "ngrams" else set()
    assert set(drawn) == {"sample", "heads", "generalisation", "learning", *own}
    assert all((run / f"figures/{figure}.png").exists() for figure in drawn)
    labels = [axis.get_ylabel().split("\n")[0] for axis in drawn["heads"].axes]
    assert {"write head", "read head 1", "read head 2", "adds", "reads 2"} <= set(labels)
    solved_case = json.loads((run / "metrics.json").read_text())["evaluation"].keys() - {case}
    assert len(solved_case) == 1
    if name == "ngrams":
        check_predictions(drawn["predictions"])

    monkeypatch.setattr(job, "run_figures", lambda *_: {})  # drawn once is enough
    stated = ("mode=evaluate", f"checkpoint={run}", "ntm.n_width=9", f"evaluate.cases=['{case}']")
    config, _ = checks.resolve(composed(f"task={name}", *TINY[:1], *stated), stated)
    job.run(config, evaluation)
    metrics = json.loads((evaluation / "metrics.json").read_text())
    assert list(metrics["evaluation"]) == [case]
    assert np.isfinite(list(metrics["evaluation"][case].values())).all()
    assert metrics["steps"] == 2


def check_predictions(figure: Figure) -> None:
    """Draws (N1 + 1/2) / (N1 + N0 + 1) of the two bits before, counted one step at a time."""
    bits = figure.axes[0].images[0].get_array()[0]
    counts: dict[tuple[float, ...], list[float]] = {}
    expected = []
    for step, bit in enumerate(bits):
        seen = counts.setdefault(tuple(bits[step - 2 : step]), [0, 0]) if step >= 2 else [0, 0]
        expected.append((seen[1] + 0.5) / (sum(seen) + 1))
        seen[int(bit)] += 1
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[1].lines}
    assert np.allclose(lines["optimum"], expected)
    needed = -np.log2(np.where(bits == 1, lines["model"], 1 - np.asarray(lines["model"]))).sum()
    assert f"model {needed:.1f} bits, optimal estimator" in figure.get_supxlabel()
