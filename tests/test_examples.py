"""What is in examples/ runs, and so does run.py in a notebook."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "explore.ipynb"
slow = pytest.mark.slow


def executed(notebook: Any, folder: Path) -> Any:
    """The notebook after all of its cells have run in a folder. An error in a cell is one here."""
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def shown(cell: Any) -> str:
    """All texts that a cell has printed or displayed."""
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for output in cell.outputs
    ]
    return "".join(texts)


def images(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_the_notebook_holds_no_output() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


@slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MPLBACKEND", raising=False)  # as a notebook's server starts its kernel
    monkeypatch.setenv("EXPLORE_EPOCHS", "1")
    monkeypatch.setenv("EXPLORE_BATCHES", "4")
    notebook = executed(nbformat.read(NOTEBOOK, as_version=4), EXAMPLES)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    copied = next(cell for cell in cells if "sentence =" in cell.source)
    assert "A head is on all rows at once" in shown(copied)
    larger = next(cell for cell in cells if "with_rows(" in cell.source)
    few, many = shown(larger).strip().splitlines()
    assert few.startswith("256 rows: ")
    assert not few.startswith("256 rows: 0 ")
    assert many.startswith("512 rows: 0 of ")
    trained = next(cell for cell in cells if "own.fit" in cell.source)
    assert "binary_accuracy" in shown(trained)
    assert "accuracy" in shown(cells[-1])
    assert [images(cell) for cell in cells if "show_heads(" in cell.source] == [1, 1]


@slow
@pytest.mark.filterwarnings("ignore")
def test_the_scripts_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEQUENCES", "32")
    monkeypatch.setenv("EPOCHS", "1")
    monkeypatch.setattr(sys, "argv", ["export.py", str(tmp_path / "exported")])
    printed = {}
    for path in sorted(EXAMPLES.glob("*.py")):
        runpy.run_path(str(path), run_name="__main__")
        printed[path.stem] = capfd.readouterr().out
    assert printed.keys() == {"fit", "stream", "export"}
    assert "binary_accuracy" in printed["fit"]
    assert printed["stream"] == "memory\n"
    assert printed["export"].splitlines()[-1] == "memory"  # what another process has said


TINY = (
    "experiment=quick recipe=none model=dense model.units=[2] optimizer.learning_rate=1e-3 "
    "task.min_length=2 task.max_length=2 trainer.steps=4 "
    "trainer.log_every=2 trainer.evaluate_every=2 trainer.batch_size=2 trainer.shards=1 "
    "evaluate.sequences=2 evaluate.batch_size=2 evaluate.cases=[length=2] "
)


@slow
def test_a_run_looks_right_in_a_notebook(tmp_path: Path) -> None:
    """As a magic and as a command: plain lines, the table in one piece, no codes of a terminal."""
    run = f"run.py {TINY} hydra.run.dir={tmp_path}"
    sources = [f"%run {run}/magic", f"!{sys.executable} {run}/command", "%run run.py seed=-1"]
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[-1].metadata["tags"] = ["raises-exception"]
    magic, command, refused = executed(nbformat.v4.new_notebook(cells=cells), ROOT).cells
    for cell in (magic, command):
        text = shown(cell).replace("\r\n", "\n")
        lines = text.splitlines()
        assert "step 2/4" in text
        assert "step 4, bit errors a sequence: length=2" in text
        assert any(line.startswith(("| length=2 ", "│ length=2 ")) for line in lines)
        assert "\r" not in text  # nothing is drawn over
        assert "\x1b[2K" not in text
        assert "\x1b[?25l" not in text
        assert "Traceback" not in text
    tables = [output for output in magic.outputs if "length=2 |" in str(output.get("data"))]
    assert len(tables) <= 1
    assert "seed=-1 must be 0 or more" in shown(refused)
