"""The figures draw the data that they are given."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.reporting import figures

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


def test_the_label_of_row_0_is_not_printed_over(rng: np.random.Generator) -> None:
    figure = figures.heads_figure(copy_trace(), "copy")
    axis = panel(figure, "write head")
    figures.row_ticks(axis, np.array([254, 255, *range(31)]))  # every fifth row has a label
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["0", "5", "10", "15", "20", "25", "30"]  # and not 255, right below 0


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
