"""The charts draw the data that they are given."""

from __future__ import annotations

from matplotlib.axes import Axes

from runner.reporting import canvas, charts


def test_curves_draw_the_median_and_hold_the_last_value_of_a_short_run() -> None:
    curves = [([0, 1000, 2000], [9, 6, 3]), ([0, 1000], [7, 0]), ([0, 1000, 2000], [8, 4, 2])]
    curves += [([0, 1000, 2000], [12, 8, 8])]
    held = [[9, 6, 3], [7, 0, 0], [8, 4, 2], [12, 8, 8]]
    figure = charts.curves_figure({"dense": curves}, "loss", "copy", reference={"chance": 8.5})
    (axis,) = figure.axes
    *seeds, median, chance = axis.lines
    assert [list(line.get_ydata()) for line in seeds] == held
    assert max(line.get_linewidth() for line in seeds) < median.get_linewidth()
    assert list(median.get_xdata()) == [0, 1000, 2000]
    assert list(median.get_ydata()) == [8.5, 5, 2.5]  # of four: half of the two in the middle
    assert set(chance.get_ydata()) == {8.5}
    (band,) = axis.collections  # of four values, three quarters of the way from first to second
    vertices = {tuple(vertex) for vertex in band.get_paths()[0].vertices}
    lows = [7 + 0.75 * (8 - 7), 0 + 0.75 * (4 - 0), 0 + 0.75 * (2 - 0)]
    highs = [9 + 0.25 * (12 - 9), 6 + 0.25 * (8 - 6), 3 + 0.25 * (8 - 3)]
    assert vertices == {*zip([0, 1000, 2000], lows), *zip([0, 1000, 2000], highs)}  # noqa: B905
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["dense (4 seeds)", "chance"]
    assert axis.get_ylabel() == "loss"
    assert axis.xaxis.get_major_formatter()(1500) == "1.5"


def test_fewer_than_four_curves_have_no_band() -> None:
    curve = ([0, 10], [8.0, 4.0])
    for count, bands in ((3, 0), (4, 1)):
        figure = charts.curves_figure({"lstm": [curve] * count}, "loss", "copy")
        assert len(figure.axes[0].collections) == bands
        assert ("band: middle half" in figure.get_supxlabel()) == bool(bands)


def test_what_lies_behind_is_faint_and_named_once() -> None:
    main, training = ([0, 10], [8.0, 4.0]), [([0, 5, 10], [9.0, 3.0, 6.0])]
    three = [*training, ([0, 10], [1.0, 1.0]), ([0, 10], [20.0, 20.0])]
    figure = charts.curves_figure(
        {"lstm": [main], "dense": [main]}, "loss", "copy",
        behind={"lstm": training, "dense": three}, behind_name="training", heading="evaluation",
    )  # fmt: skip
    (axis,) = figure.axes
    shown = axis.get_legend()
    assert shown is not None
    assert [text.get_text() for text in shown.get_texts()] == ["lstm", "dense", "training"]
    assert shown.get_title().get_text() == "evaluation"
    lines = [line for line in axis.lines if line.get_zorder() == 1]
    assert [list(line.get_ydata()) for line in lines] == [[9, 3, 6], [9, 3, 6]]  # the medians
    front = [line for line in axis.lines if line.get_label() in ("lstm", "dense")]
    assert [line.get_color() for line in front] == [line.get_color() for line in lines]
    assert all((line.get_alpha() or 1) < 0.5 < (front[0].get_alpha() or 1) for line in lines)


def test_the_curve_of_evaluations_is_that_of_one_case_over_sequences() -> None:
    training = [{"step": 5, "sequences": 80}, {"step": 10, "sequences": 160}]  # 16 a step
    evaluations = [
        {"step": 4, "results": {"n=2": {"loss_bits_per_sequence": 3.0}}},
        {"step": 6, "results": {"n=3": {"loss_bits_per_sequence": 9.0}}},
        {"step": 8, "results": {"n=2": {"loss_bits_per_sequence": None}}},  # not a number
        {"step": 10, "results": {"n=2": {"loss_bits_per_sequence": 1.0}}},
    ]
    curve = charts.evaluation_curve(training, evaluations, "n=2", "loss_bits")
    assert curve == ([64, 160], [3.0, 1.0])
    assert charts.evaluation_curve([], evaluations, "n=2", "loss_bits") == ([], [])
    assert charts.evaluation_curve(training, evaluations, "n=4", "loss_bits") == ([], [])


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
