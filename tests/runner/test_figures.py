"""The figures draw the data that they are given."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner import figures

SLOTS = 16


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def one_hot(rows: list[int]) -> np.ndarray:
    """Weightings (T, 1, N) that focus on one row at each step."""
    return np.eye(SLOTS)[np.asarray(rows) % SLOTS][:, None]


def copy_trace(heads: int = 1) -> dict[str, np.ndarray]:
    """An ideal copy of three vectors, whose rows run around the end of the memory."""
    steps = 8
    writes = one_hot([14, 15, 16, 17, 17, 17, 17, 17])
    reads = one_hot([14, 14, 14, 14, 14, 15, 16, 17])
    spread = np.full((steps, heads - 1, SLOTS), 1 / SLOTS)
    rng = np.random.default_rng(1)
    return {
        "inputs": rng.integers(0, 2, (steps, 10)).astype(float),
        "outputs": rng.random((steps, 8)),
        "write_weights": np.concatenate([writes, spread], axis=1),
        "read_weights": np.concatenate([reads, spread], axis=1),
        "adds": rng.normal(size=(steps, heads, 20)),
        "reads": rng.normal(size=(steps, heads, 20)),
    }


def panel(figure: Figure, label: str) -> Axes:
    (axis,) = (axis for axis in figure.axes if axis.get_ylabel().startswith(label))
    return axis


def drawn(figure: Figure, label: str) -> np.ma.MaskedArray:
    (image,) = panel(figure, label).images
    return np.ma.asarray(image.get_array())


def caption(figure: Figure) -> str:
    return figure.get_supxlabel()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axis in figure.axes for text in axis.texts]


def test_sample_draws_the_sequence_and_greys_out_what_is_not_scored(
    rng: np.random.Generator,
) -> None:
    inputs, targets = rng.normal(size=(12, 10)), rng.integers(0, 2, (12, 8)).astype(float)
    outputs, weights = rng.random((12, 8)), np.zeros((12, 8))
    weights[7:] = 1
    figure = figures.sample_figure(inputs, targets, outputs, weights, "copy", "2 bits wrong")
    assert np.array_equal(drawn(figure, "input"), inputs.T)
    for label, expected in (
        ("target", targets), ("output", outputs), ("error", np.abs(outputs - targets)),
    ):  # fmt: skip
        image = drawn(figure, label)
        assert np.array_equal(image.mask, weights.T == 0)
        assert np.allclose(image.compressed(), expected[7:].T.ravel())
    assert panel(figure, "error").get_xlabel() == "time step"
    assert figure.get_suptitle() == "copy"
    assert caption(figure) == "2 bits wrong\nvertical: channel; blue: not scored"


def test_sample_shows_inputs_below_zero(rng: np.random.Generator) -> None:
    inputs = np.linspace(-1, 1, 12)[:, None]
    bits = rng.integers(0, 2, (12, 1)).astype(float)
    figure = figures.sample_figure(inputs, bits, bits, np.ones((12, 1)), "sort", "")
    assert panel(figure, "input").images[0].get_clim() == (-1, 1)
    assert panel(figure, "output").images[0].get_clim() == (0, 1)
    assert "blue" not in caption(figure)


def test_heads_draws_every_weighting_on_the_same_rows() -> None:
    trace = copy_trace(heads=2)
    figure = figures.heads_figure(trace, "copy, dense")
    rows = list(figures.row_window((trace["write_weights"], trace["read_weights"]), 0.1))
    for kind in ("write", "read"):
        for head in (0, 1):
            expected = trace[f"{kind}_weights"][:, head][:, rows].T
            assert np.array_equal(drawn(figure, f"{kind} head {head + 1}"), expected)
    assert np.array_equal(drawn(figure, "inputs"), trace["inputs"].T)
    assert np.array_equal(drawn(figure, "outputs"), trace["outputs"].T)
    assert figure.get_suptitle() == "copy, dense"


def test_heads_says_which_rows_it_shows_and_labels_them() -> None:
    figure = figures.heads_figure(copy_trace(), "copy")
    assert caption(figure).startswith("memory rows 13 to 15 and 0 to 4 shown, of 16")
    axis = panel(figure, "write head")
    rows = [13, 14, 15, 0, 1, 2, 3, 4]
    for place, label in zip(axis.get_yticks(), axis.get_yticklabels(), strict=True):
        assert label.get_text() == str(rows[int(place)])
    assert axis.get_xlabel() == "time step"


def test_heads_draws_the_add_and_read_vectors_of_one_head() -> None:
    trace = copy_trace()
    figure = figures.heads_figure(trace, "copy")
    assert np.array_equal(drawn(figure, "adds"), trace["adds"][:, 0].T)
    assert np.array_equal(drawn(figure, "reads"), trace["reads"][:, 0].T)


def test_heads_draws_the_add_and_read_vectors_of_up_to_four_heads() -> None:
    trace = copy_trace(4)
    figure = figures.heads_figure(trace, "copy")
    for head in range(4):
        assert np.array_equal(drawn(figure, f"adds {head + 1}"), trace["adds"][:, head].T)
        assert np.array_equal(drawn(figure, f"reads {head + 1}"), trace["reads"][:, head].T)
    assert "adds and reads" in caption(figure)
    crowded = figures.heads_figure(copy_trace(5), "copy")
    assert not [axis for axis in crowded.axes if axis.get_ylabel().startswith(("adds", "reads"))]
    assert "adds and reads" not in caption(crowded)


def test_heads_names_a_head_that_never_focuses() -> None:
    assert texts(figures.heads_figure(copy_trace(), "copy")) == []
    assert (
        texts(figures.heads_figure(copy_trace(2), "copy"))
        == ["spread out: no weight reaches 0.1"] * 2
    )


@pytest.mark.parametrize(
    ("fewer", "more", "vectors", "fewer_vectors"),
    [("write", "read", "reads", "adds"), ("read", "write", "adds", "reads")],
)
def test_heads_takes_different_numbers_of_heads(
    fewer: str, more: str, vectors: str, fewer_vectors: str
) -> None:
    trace = copy_trace(3)
    for name in (f"{fewer}_weights", fewer_vectors):
        trace[name] = trace[name][:, :1]
    figure = figures.heads_figure(trace, "copy")
    labels = [axis.get_ylabel().split("\n")[0] for axis in figure.axes if axis.axison]
    numbered = [f"{name} {head}" for name in (vectors, f"{more} head") for head in (1, 2, 3)]
    expected = ["inputs", "outputs", "weight", fewer_vectors, f"{fewer} head", *numbered]
    assert sorted(labels) == sorted(expected)
    beside = [panel(figure, name) for name in (f"{fewer} head", f"{more} head 1")]
    assert len({axis.get_position().y0 for axis in beside}) == 1


def test_heads_marks_the_beginning_of_a_phase() -> None:
    figure = figures.heads_figure(copy_trace(), "copy", boundaries=[4])
    (line,) = panel(figure, "write head").lines
    assert list(line.get_xdata()) == [3.5, 3.5]


def shortest_window(used: np.ndarray) -> int:
    """The slow way: the shortest circular run over any start that holds all used rows."""
    slots = len(used)
    return min(
        length
        for start in range(slots)
        for length in range(1, slots + 1)
        if used[(start + np.arange(length)) % slots].sum() == used.sum()
    )


def test_row_window_is_the_shortest_that_holds_every_used_row(rng: np.random.Generator) -> None:
    for _ in range(200):
        slots = int(rng.integers(3, 20))
        weights = rng.random((4, 2, slots)) * (rng.random(slots) < 0.3)
        other = rng.random((4, 1, slots)) * (rng.random(slots) < 0.1)
        used = np.maximum(weights.max((0, 1)), other.max((0, 1))) >= 0.5
        rows = figures.row_window((weights, other), 0.5)
        assert set(np.flatnonzero(used)) <= set(rows)
        assert len(set(rows)) == len(rows)
        assert set(np.diff(rows) % slots) <= {1}
        if used.any():
            assert len(rows) == min(slots, max(8, shortest_window(used) + 2))


def test_row_window_without_a_used_row_is_the_whole_memory() -> None:
    assert list(figures.row_window((np.full((3, 1, 9), 1 / 9),), 0.5)) == list(range(9))


def test_curves_draw_the_median_and_hold_the_last_value_of_a_short_run() -> None:
    curves = [([0, 1000, 2000], [9, 6, 3]), ([0, 1000], [7, 0]), ([0, 1000, 2000], [8, 4, 2])]
    held = [[9, 6, 3], [7, 0, 0], [8, 4, 2]]
    figure = figures.curves_figure({"dense": curves}, "loss", "copy", reference={"chance": 8.5})
    (axis,) = figure.axes
    *seeds, median, chance = axis.lines
    assert [list(line.get_ydata()) for line in seeds] == held
    assert max(line.get_linewidth() for line in seeds) < median.get_linewidth()
    assert list(median.get_xdata()) == [0, 1000, 2000]
    assert list(median.get_ydata()) == [8, 4, 2]
    assert set(chance.get_ydata()) == {8.5}
    (band,) = axis.collections  # of three values, half of the way from the middle to each side
    vertices = {tuple(vertex) for vertex in band.get_paths()[0].vertices}
    lows, highs = [(7 + 8) / 2, (0 + 4) / 2, (0 + 2) / 2], [(8 + 9) / 2, (4 + 6) / 2, (2 + 3) / 2]
    assert vertices == {*zip([0, 1000, 2000], lows), *zip([0, 1000, 2000], highs)}  # noqa: B905
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["dense (3 seeds)", "chance"]
    assert axis.get_ylabel() == "loss"
    assert axis.xaxis.get_major_formatter()(1500) == "1.5"


def test_a_single_curve_has_neither_band_nor_thin_line() -> None:
    figure = figures.curves_figure({"lstm": [([0, 10], [8.0, 4.0])]}, "loss", "copy")
    (axis,) = figure.axes
    assert len(axis.lines) == 1
    assert not axis.collections


def test_curves_from_far_above_show_what_lies_within_the_limits() -> None:
    curves = {"lstm": [([0, 10], [200.0, 134.0])]}
    figure = figures.curves_figure(curves, "loss", "ngrams", limits=(130, 160), notes=["a note"])
    assert figure.axes[0].get_ylim() == (130, 160)
    assert caption(figure) == "a note; higher values are left out"


def test_no_caption_is_wider_than_its_figure() -> None:
    curves = {"lstm": [([0, 10], [8.0, 4.0]), ([0, 10], [8.0, 2.0])]}
    notes = [
        "point: mean over a 60th of the training",
        "a run that ended early keeps its last value",
    ]
    learning = figures.curves_figure(curves, "loss", "copy", logarithmic=True, notes=notes)
    cases = {"length=5": [1.0, 2.0]}
    general = figures.generalisation_figure({"lstm": cases}, "bits", "copy", trained=["length=5"])
    for figure in (learning, general):
        figures.to_png(figure)
        box = figure._supxlabel.get_window_extent()  # type: ignore[attr-defined]
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_captions_speak_of_seeds_only_when_there_are_several() -> None:
    one, two = ([0, 10], [8.0, 4.0]), ([0, 10], [8.0, 2.0])
    assert caption(figures.curves_figure({"lstm": [one]}, "loss", "copy")) == ""
    assert "median over seeds" in caption(figures.curves_figure({"lstm": [one, two]}, "loss", "x"))
    alone = figures.generalisation_figure({"lstm": {"length=5": [1.0]}}, "bits", "copy")
    assert "seed" not in caption(alone)
    several = figures.generalisation_figure({"lstm": {"length=5": [1.0, 2.0]}}, "bits", "copy")
    assert caption(several).startswith("point: one seed; line: median; vertical axis")


def test_curves_can_be_logarithmic_and_still_show_zero() -> None:
    curves = {"lstm": [([0, 10], [100.0, 0.0])]}
    figure = figures.curves_figure(curves, "loss", "copy", logarithmic=True)
    (axis,) = figure.axes
    assert axis.get_yscale() == "symlog"
    low, high = axis.get_ylim()
    assert low < 0 < 100 < high
    assert "linear below 0.1" in caption(figure)


def places(axis: Axes, case: int, label: str) -> list[float]:
    """Where the seeds of a label lie at a case, which is at a whole number."""
    (median,) = (line for line in axis.lines if line.get_label() == label)
    seeds = [
        line
        for line in axis.lines
        if str(line.get_label()).startswith("_") and line.get_color() == median.get_color()
    ]
    return [float(x) for line in seeds for x in line.get_xdata() if abs(x - case) < 0.5]


def test_generalisation_draws_every_seed_and_the_median_of_each_case() -> None:
    results = {
        "dense": {"length=20": [0.0, 2.0, 1.0], "length=40": [5.0, 3.0, 9.0]},
        "lstm": {"length=40": [7.0]},
    }
    cases = ["length=20", "length=40"]
    figure = figures.generalisation_figure(results, "bits", "copy", trained=["length=20"])
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["length=20", "length=40"]
    medians = {
        line.get_label(): [float(value) for value in line.get_ydata()]
        for line in axis.lines
        if not str(line.get_label()).startswith("_")
    }
    assert medians == {"dense": [1, 5], "lstm": [7]}
    seeds = sorted(
        float(value)
        for line in axis.lines
        if str(line.get_label()).startswith("_")
        for value in line.get_ydata()
    )
    assert seeds == [0, 1, 2, 3, 5, 7, 9]
    for place, label in ((1, "dense"), (1, "lstm"), (0, "dense")):  # beside, not over each other
        assert len({*places(axis, place, label)}) == len(results[label][cases[place]])
    dense, lstm = places(axis, 1, "dense"), places(axis, 1, "lstm")
    assert max(dense) < min(lstm)
    (shade,) = axis.patches
    assert (shade.get_x(), shade.get_width()) == (-0.5, 1.0)


def test_predictions_draw_bits_both_estimates_and_their_difference(
    rng: np.random.Generator,
) -> None:
    bits = rng.integers(0, 2, 200)
    model, optimum = rng.random(200), rng.random(200)
    figure = figures.predictions_figure(bits, model, optimum, "n-grams", "134 bits")
    assert np.array_equal(drawn(figure, "bit"), bits[None])
    lines = {line.get_label(): line for line in panel(figure, "probability").lines}
    assert np.array_equal(lines["model"].get_ydata(), model)
    assert np.array_equal(lines["optimum"].get_ydata(), optimum)
    bars = [bar.get_height() for bar in panel(figure, "difference").patches]
    assert np.allclose(bars, model - optimum)
    assert caption(figure) == "134 bits"


def test_save_writes_the_whole_png_or_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figures" / "heads.png"
    figure = figures.heads_figure(copy_trace(), "copy")
    figures.save(figure, path)
    before = path.read_bytes()
    assert before == figures.to_png(figure)
    assert before.startswith(b"\x89PNG")
    assert before.endswith(b"IEND\xaeB`\x82")

    def half(figure: Figure) -> bytes:
        raise OSError("no space left")

    monkeypatch.setattr(figures, "to_png", half)
    with pytest.raises(OSError, match="no space"):
        figures.save(figure, path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_figure_is_forgotten_with_its_last_reference() -> None:
    figure = figures.heads_figure(copy_trace(), "copy")
    figures.to_png(figure)
    reference = weakref.ref(figure)
    del figure
    gc.collect()
    assert reference() is None


def test_pyplot_is_not_imported() -> None:
    code = "import sys, runner.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
