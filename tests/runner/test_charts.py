"""The charts draw the data that they are given."""

from __future__ import annotations

from matplotlib.axes import Axes

from runner.reporting import canvas, charts


def test_curves_draw_the_median_and_hold_the_last_value_of_a_short_run() -> None:
    curves = [([0, 1000, 2000], [9, 6, 3]), ([0, 1000], [7, 0]), ([0, 1000, 2000], [8, 4, 2])]
    held = [[9, 6, 3], [7, 0, 0], [8, 4, 2]]
    figure = charts.curves_figure({"dense": curves}, "loss", "copy", reference={"chance": 8.5})
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
    figure = charts.curves_figure({"lstm": [([0, 10], [8.0, 4.0])]}, "loss", "copy")
    (axis,) = figure.axes
    assert len(axis.lines) == 1
    assert not axis.collections


def test_curves_from_far_above_show_what_lies_within_the_limits() -> None:
    curves = {"lstm": [([0, 10], [200.0, 134.0])]}
    figure = charts.curves_figure(curves, "loss", "ngrams", limits=(130, 160), notes=["a note"])
    assert figure.axes[0].get_ylim() == (130, 160)
    assert figure.get_supxlabel() == "a note; higher values are left out"


def test_no_caption_is_wider_than_its_figure() -> None:
    curves = {"lstm": [([0, 10], [8.0, 4.0]), ([0, 10], [8.0, 2.0])]}
    notes = [
        "point: mean over a 60th of the training",
        "a run that ended early keeps its last value",
    ]
    learning = charts.curves_figure(curves, "loss", "copy", logarithmic=True, notes=notes)
    cases = {"length=5": [1.0, 2.0]}
    general = charts.generalisation_figure({"lstm": cases}, "bits", "copy", trained=["length=5"])
    for figure in (learning, general):
        canvas.to_png(figure)
        box = figure._supxlabel.get_window_extent()  # type: ignore[attr-defined]
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width


def test_captions_speak_of_seeds_only_when_there_are_several() -> None:
    one, two = ([0, 10], [8.0, 4.0]), ([0, 10], [8.0, 2.0])
    assert charts.curves_figure({"lstm": [one]}, "loss", "copy").get_supxlabel() == ""
    assert (
        "median over seeds"
        in charts.curves_figure({"lstm": [one, two]}, "loss", "x").get_supxlabel()
    )
    alone = charts.generalisation_figure({"lstm": {"length=5": [1.0]}}, "bits", "copy")
    assert "seed" not in alone.get_supxlabel()
    several = charts.generalisation_figure({"lstm": {"length=5": [1.0, 2.0]}}, "bits", "copy")
    assert several.get_supxlabel().startswith("point: one seed; line: median; vertical axis")


def test_curves_can_be_logarithmic_and_still_show_zero() -> None:
    curves = {"lstm": [([0, 10], [100.0, 0.0])]}
    figure = charts.curves_figure(curves, "loss", "copy", logarithmic=True)
    (axis,) = figure.axes
    assert axis.get_yscale() == "symlog"
    low, high = axis.get_ylim()
    assert low < 0 < 100 < high
    assert "linear below 0.1" in figure.get_supxlabel()


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
    figure = charts.generalisation_figure(results, "bits", "copy", trained=["length=20"])
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


def test_a_bit_in_hundreds_of_sequences_does_not_look_like_much() -> None:
    cases = {"length=20": [0.0, 0.005], "length=120": [0.0, 0.0]}
    figure = charts.generalisation_figure({"lstm": cases}, "bits", "copy")
    low, high = figure.axes[0].get_ylim()
    assert low < 0
    assert 1 < high < 2
