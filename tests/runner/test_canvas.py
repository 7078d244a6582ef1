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
from runner.store.files import make


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


CURVES = {"LSTM controller": [([0, 10], [8.0, 4.0]), ([0, 10], [6.0, 2.0])]}


def test_a_figure_is_saved_in_every_format_asked_for(tmp_path: Path) -> None:
    begins = {"png": b"\x89PNG", "pdf": b"%PDF", "svg": b"<?xml"}
    for folder in ("first", "second"):
        make(tmp_path / folder)
        figure = charts.curves_figure(CURVES, "loss", "copy")
        canvas.save(figure, tmp_path / folder / "learning", list(begins))
    written = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    assert written.keys() == {f"learning.{ending}" for ending in begins}
    for ending, start in begins.items():
        assert written[f"learning.{ending}"].startswith(start)
    again = {path.name: path.read_bytes() for path in (tmp_path / "second").iterdir()}
    assert again == written  # no date and no random name in it


def test_a_figure_for_a_paper_is_a_column_wide_and_has_no_title(tmp_path: Path) -> None:
    figure = charts.curves_figure(CURVES, "loss, bits", "copy", notes=["a note"])
    on_screen = canvas.to_png(figure)
    assert canvas.save(figure, tmp_path / "learning", ["png", "svg"], "paper") == on_screen
    width, height = (
        int.from_bytes((tmp_path / "learning.png").read_bytes()[start : start + 4], "big")
        for start in (16, 20)
    )
    assert width == round(canvas.COLUMN * canvas.PAPER_DPI)
    assert height < width
    assert figure.get_suptitle() == figure.get_supxlabel() == ""
    (axis,) = figure.axes
    shown = axis.get_legend()
    assert shown is not None
    texts = [axis.yaxis.label, axis.xaxis.label, *shown.get_texts()]
    assert [text.get_text() for text in texts] == [
        *("loss, bits", "sequences seen, thousands", "LSTM controller (2 seeds)"),
    ]
    assert all(6 <= text.get_fontsize() <= 9 for text in texts)  # as the text of a paper


LONG = "controller=lstm, ntm.read_heads={}, optimizer.learning_rate=0.001, trainer.clip_norm=10"


@pytest.mark.parametrize("above", [True, False])
def test_long_labels_leave_the_figure_and_the_plot_their_size(above: bool) -> None:
    curve = ([0.0, 10.0], [8.0, 4.0])
    curves = {LONG.format(n): [curve] * (1 + above) for n in range(10 if above else 1)}
    figure = charts.curves_figure(curves, "loss", LONG.format(1))
    canvas.to_png(figure)
    (axis,) = figure.axes
    assert tuple(figure.get_size_inches()) == (10, 6)
    assert axis.bbox.height > 0.3 * figure.bbox.height
    assert axis.bbox.width > 0.8 * figure.bbox.width
    shown = axis.get_legend()
    assert shown is not None
    for box in (shown.get_window_extent(), figure._suptitle.get_window_extent()):  # type: ignore[attr-defined]
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height


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
