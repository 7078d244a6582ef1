"""A figure is written whole, forgotten when it is dropped, and needs no pyplot."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from runner.reporting import canvas, charts


def test_save_writes_the_whole_png_or_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "learning.png"
    figure = charts.curves_figure({"lstm": [([0, 10], [8.0, 4.0])]}, "loss", "copy")
    canvas.save(figure, path)
    before = path.read_bytes()
    assert before == canvas.to_png(figure)
    assert before.startswith(b"\x89PNG")
    assert before.endswith(b"IEND\xaeB`\x82")

    def half(figure: Figure) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr(canvas, "to_png", half)
    with pytest.raises(OSError, match="no space"):
        canvas.save(figure, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_figure_is_forgotten_with_its_last_reference() -> None:
    figure = charts.curves_figure({"lstm": [([0, 10], [8.0, 4.0])]}, "loss", "copy")
    canvas.to_png(figure)
    reference = weakref.ref(figure)
    del figure
    gc.collect()
    assert reference() is None


def test_pyplot_is_not_imported() -> None:
    code = (
        "import sys, runner.reporting.figures, runner.reporting.charts; "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
