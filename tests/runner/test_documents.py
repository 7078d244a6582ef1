"""README.md and docs/ say what the files and the configuration say."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from .conftest import ROOT, Compose

LINK = re.compile(r"\]\(([^)\s]+)\)")
NOTEBOOKS = sorted((ROOT / "docs" / "lab").glob("*.md"))
RECIPES = {
    "copy, LSTM": "controller=lstm",
    "copy, feed-forward": "controller=double_dense",
    "copy, linear": "controller=dense",
    "repeat copy": "task=repeat_copy",
    "associative recall": "task=associative_recall",
    "n-grams": "task=ngrams",
    "priority sort": "task=priority_sort",
}


def _tables() -> ModuleType:
    path = ROOT / "docs" / "results" / "tables.py"
    spec = importlib.util.spec_from_file_location("tables", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tables = _tables()
DOCUMENTS = [*tables.documents(), ROOT / "CONTRIBUTING.md"]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_the_tables_are_what_the_files_give(path: Path) -> None:
    text = path.read_text()
    assert tables.with_tables(text) == text, "python docs/results/tables.py writes the tables"


def test_the_files_of_a_task_and_a_controller_of_ones_own_work_as_they_stand(
    tmp_path: Path,
) -> None:
    """Each block that names a file is that file."""
    text = (ROOT / "docs" / "extending.md").read_text()
    for block in re.findall(r"```(?:python|yaml)\n(.*?)```", text, re.DOTALL):
        named = re.search(r"^# ~/my/(\S+?);?(?: .*)?$", block, re.MULTILINE)
        if named:
            path = tmp_path / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
    stated = ["task=reverse_copy", "controller=gru", "recipe=copy/lstm", "trainer.steps=1"]
    small = ["evaluate.sequences=2", "evaluate.cases=[length=20]", "figures.format=[]"]
    command = [sys.executable, "run.py", "--config-dir", f"{tmp_path}/conf", *stated, *small]
    where = {"PYTHONPATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [*command, f"hydra.run.dir={tmp_path}/run"],
        cwd=ROOT, env=os.environ | where, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made: Any = OmegaConf.load(tmp_path / "run/.hydra/config.yaml")
    assert made.task._target_ == "my_tasks.ReverseCopy"
    assert made.controller._target_ == "my_controllers.gru"


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_table_is_between_markers(path: Path) -> None:
    text = path.read_text()
    assert text.count("<!-- table: ") == text.count("<!-- /table -->")
    assert len(tables.MARKED.findall(text)) == text.count("<!-- table: ")


@pytest.mark.parametrize("path", [*DOCUMENTS, *NOTEBOOKS], ids=named)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(path.read_text()):
        target, _, anchor = link.partition("#")
        if not target.startswith("http"):
            found = (path.parent / target).resolve() if target else path
            assert found.exists(), link
            assert not anchor or anchor in anchors(found), link


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_figure_is_shown() -> None:
    shown = {
        (path.parent / link).resolve()
        for path in [*DOCUMENTS, *NOTEBOOKS]
        for link in LINK.findall(path.read_text())
    }
    assert set((ROOT / "docs" / "figures").iterdir()) <= shown


def test_the_values_of_the_recipes_are_those_of_the_configuration(composed: Compose) -> None:
    for row in tables.read("recipe_values"):
        key = row.pop("option")
        found = {
            name: OmegaConf.select(composed(override), key) for name, override in RECIPES.items()
        }
        assert row == {k: "" if v is None else str(v) for k, v in found.items()}, key


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_example_of_the_layer_runs() -> None:
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)
    assert names["model"](np.zeros((2, 3, 10), np.float32)).shape == (2, 3, 8)


SEEDS = """\
seed,status,parameters,solved_at_sequences,sequences,restarts,seconds,n=2 bit_errors_per_sequence
0,solved,1234,4000,9000,0,10,0.0
1,finished,1234,,9000,1,20,0.5
2,solved,1234,2000,9000,0,60,0.0
"""
FAILED = "3,failed,,,,,,\n"
RECIPE = {
    "name": "mine",
    "task": "sums",
    "controller": "LSTM",
    "beyond": "none wrong at 2",
    "beyond_column": "n=2 bit_errors_per_sequence",
    "beyond_bound": "0",
    "paper": "never",
    "scores": "bit_errors",
    "bound": "1",
    "machine": "a desk",
    "command": "run",
    "readme": "yes",
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recipe of three seeds, of which one is never solved, with the file of a comparison."""
    (tmp_path / "mine.csv").write_text(SEEDS)
    index = [",".join(RECIPE), ",".join(RECIPE.values())]
    (tmp_path / "results.csv").write_text("\n".join(index) + "\n")
    monkeypatch.setattr(tables, "RESULTS", tmp_path)


def test_a_seed_that_was_never_solved_is_later_than_all_others(made: None) -> None:
    """Of 2,000, 4,000 and never the median is 4,000."""
    (row,) = tables.results([])[1:]
    beyond = "none wrong at 2: 2 of 3"
    assert row == ["sums", "LSTM", "1,234", "0 to 2", "2 of 3", "4,000", beyond, "never"]
    (row,) = tables.recipes([])[1:]
    given = ["sums", "LSTM", "0 to 2", "2 of 3"]
    assert row == [*given, "", "4,000", "never", "20", "a desk", "`run`"]


def test_a_seed_that_lost_its_task_or_never_solved_it_did_not_hold_it(
    made: None, tmp_path: Path
) -> None:
    lines = SEEDS.splitlines()
    lost = zip(lines, ["lost_again", "0", "", "3"], strict=True)
    (tmp_path / "mine.csv").write_text("\n".join(f"{line},{more}" for line, more in lost) + "\n")
    (row,) = tables.recipes([])[1:]
    assert row[4] == "1 of 3"


def test_a_seed_that_failed_counts_as_not_solved(made: None, tmp_path: Path) -> None:
    """Of 2,000, 4,000 and twice never the median is never; scores are of those that have some."""
    (tmp_path / "mine.csv").write_text(SEEDS + FAILED)
    (row,) = tables.results([])[1:]
    assert row[2:7] == ["1,234", "0 to 3", "2 of 4", "never", "none wrong at 2: 2 of 4"]
    (row,) = tables.recipes([])[1:]
    assert row[3:8] == ["2 of 4", "", "never", "never", "20"]
    (row,) = tables.cases(["mine"])[1:]
    assert row == ["LSTM", "n=2", "wrong bits", "0", "0.5", "2 of 4", "3 of 4"]
    assert tables.seeds(["mine"])[-1] == ["3", "never", "", "", "", ""]


def test_a_share_of_seeds_leaves_none_out(made: None, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(SEEDS.replace("1,finished", "7,finished"))
    with pytest.raises(ValueError, match="not one after another"):
        tables.results([])


def test_the_cases_of_a_recipe(made: None) -> None:
    (row,) = tables.cases(["mine"])[1:]
    assert row == ["LSTM", "n=2", "wrong bits", "0", "0.5", "2 of 3", "3 of 3"]


def test_a_row_for_each_seed(made: None) -> None:
    text = "<!-- table: seeds mine -->\nwhat was there\n<!-- /table -->"
    assert tables.with_tables(text) == (
        "<!-- table: seeds mine -->\n"
        "| seed | solved at, sequences | sequences in all | new beginnings | training, s |"
        " n=2, wrong bits |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| 0 | 4,000 | 9,000 | 0 | 10 | 0 |\n"
        "| 1 | never | 9,000 | 1 | 20 | 0.5 |\n"
        "| 2 | 2,000 | 9,000 | 0 | 60 | 0 |\n"
        "<!-- /table -->"
    )


def test_an_unknown_table_is_an_error(made: None) -> None:
    with pytest.raises(FileNotFoundError):
        tables.with_tables("<!-- table: nothing -->\n<!-- /table -->")
