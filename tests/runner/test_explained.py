"""docs/ntm.md: its tables are computed, its figures can be drawn again, it can be read in time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from docs.figures import by_hand, equations, machine

DOCUMENT = by_hand.DOCUMENT


def test_the_traces_are_what_the_functions_compute() -> None:
    text = DOCUMENT.read_text()
    assert text.count("<!-- by hand: ") == 3
    assert by_hand.with_traces(text) == text, "python -m docs.figures.by_hand writes the tables"


def test_the_traced_copy_is_one() -> None:
    """The vectors come out in their order, from rows that hold them, by weightings of one row."""
    steps = [values for _, values in by_hand.copy_steps(sharpness=5)]
    count = len(by_hand.VECTORS)
    for number, vector in enumerate(by_hand.VECTORS):
        write, rows, _, _ = steps[number]
        *_, read, out = steps[count + 1 + number]
        assert np.allclose(rows[write.argmax()], vector, atol=1e-3)
        assert read.argmax() == write.argmax()
        assert np.allclose(out, vector, atol=1e-3)


def test_the_step_by_hand_follows_the_equations() -> None:
    """Finding 1 0 among 0.1 0.1, 1 0, 0 1, 1 1, 0.1 0.1, and moving on, in plain numbers."""
    cosines = np.array([0.1 / 0.5, 1, 0, 1 / np.sqrt(2), 0.1 / 0.5])  # short rows count as 0.5 long
    content = np.exp(10 * cosines) / np.exp(10 * cosines).sum()
    gated = 0.9 * content + 0.1 * np.array([1, 0, 0, 0, 0])
    shifted = 0.1 * gated + 0.9 * np.roll(gated, 1)
    sharp = shifted**5 / (shifted**5).sum()
    lines = by_hand.one_step_table().splitlines()[4:]
    cells = [[cell.strip() for cell in line.split("|")[3:-1]] for line in lines]
    for found, expected in zip(cells[1:5], (content, gated, shifted, sharp), strict=True):
        assert found == [f"{weight:.2f}" for weight in expected]


def test_the_figures_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for script in (machine, equations):
        monkeypatch.setattr(script, "HERE", tmp_path)
        script.main()
    assert {path.name for path in tmp_path.iterdir()} == {
        *("machine.svg", "addressing.png", "writing.png"),
    }


def test_it_is_read_in_twenty_minutes() -> None:
    assert len(DOCUMENT.read_text().split()) <= 4500


def test_the_animation_of_the_readme_is_small() -> None:
    assert (Path(machine.__file__).parent / "heads.gif").stat().st_size < 2_000_000
