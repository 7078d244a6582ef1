"""What `python -m runner.compare` says about sweeps: every number worked out by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from runner import compare
from runner.errors import ConfigError
from runner.reporting import canvas
from runner.results import study
from runner.store.files import make, write_json, write_text

from .conftest import ROOT, Compose

CASES = ("length=20", "length=120")


def leave(
    folder: Path,
    config: Any,
    errors: Mapping[str, float] | None = None,
    solved: int | None = None,
    status: str | None = None,
    **scores: float,
) -> None:
    """Leave the files of a run that ended with these errors, or of one that did not get there."""
    make(folder, ".hydra")
    write_text(folder / ".hydra/config.yaml", OmegaConf.to_yaml(config))
    stated = [f"controller={config.controller.name}", f"seed={config.seed}"]
    write_text(folder / ".hydra/overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(stated)))
    ended = status or ("finished" if solved is None else "solved")
    error = "RunError: step 7: the loss is nan" if ended == "failed" else None
    write_json(folder / "status.json", {"status": ended, "error": error})
    seed = config.seed
    points = [
        {"step": n, "sequences": 10 * n, "loss_bits": 100 / n + seed, "bit_errors": 50 / n}
        for n in range(1, 121)
    ]
    write_json(folder / "history.json", {"training": points, "evaluations": []})
    if errors is None:
        return
    extra = {f"{name}_per_sequence": value for name, value in scores.items()}
    evaluation = {
        case: {"bit_errors_per_sequence": value, "bit_accuracy": 0.5, **extra}
        for case, value in errors.items()
    }
    metrics = {
        "task": config.task.name, "seed": seed, "parameters": 62660, "seconds": 10.0 * (seed + 1),
        "solved_at_sequences": solved, "evaluation": evaluation,
    }  # fmt: skip
    write_json(folder / "metrics.json", metrics)


@pytest.fixture
def sweep(composed: Compose, tmp_path: Path) -> Path:
    """Three seeds of an LSTM controller, of which one failed, and two of a feed-forward one."""
    folder = tmp_path / "sweep"
    lstm = [composed("controller=lstm", f"seed={seed}") for seed in range(3)]
    dense = [composed("controller=double_dense", f"seed={seed}") for seed in range(2)]
    leave(folder / "0", lstm[0], dict(zip(CASES, (0.0, 0.5), strict=True)), 12000)
    leave(folder / "1", lstm[1], dict(zip(CASES, (0.0, 4.0), strict=True)), 8000, "finished")
    leave(folder / "2", lstm[2], status="failed")
    leave(folder / "3", dense[0], dict(zip(CASES, (2.0, 9.0), strict=True)))
    leave(folder / "4", dense[1], dict(zip(CASES, (0.0, 7.0), strict=True)), 20000)
    return folder


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What a comparison prints, without its figures, which take most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "write_figures", lambda *_: [])
        compare.main([str(argument) for argument in arguments])
    return capsys.readouterr().out


def table(text: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without the heading's row."""
    part = next(part for part in text.split("## ") if part.startswith(heading))
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in lines[2:]]


def test_a_failed_run_counts_as_not_solved(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, sweep, "--to", tmp_path)
    lstm, dense = table(text, "copy: runs")
    assert lstm == [
        *("controller=lstm", "3", "2 of 3", "1 of 3", "", "12,000", "never"),
        *("15", "20", "62,660"),
    ]
    assert dense[1:6] == ["2", "1 of 2", "1 of 2", "", "never"]
    unfinished = text.partition("not finished")[2]
    assert f"seed 2 in {sweep}/2: failed, RunError: step 7: the loss is nan" in unfinished
    assert len(unfinished.strip().splitlines()[2:]) == 1


def test_every_case_has_its_median_its_worst_and_its_counts(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, sweep, "--to", tmp_path, "--below", "5")
    assert table(text, "copy: cases") == [
        ["controller=lstm", "length=20", "wrong bits", "0", "0", "2 of 3", "2 of 3"],
        ["controller=lstm", "length=120", "wrong bits", "2.25", "4", "0 of 3", "2 of 3"],
        ["controller=double_dense", "length=20", "wrong bits", "1", "2", "1 of 2", "2 of 2"],
        ["controller=double_dense", "length=120", "wrong bits", "8", "9", "0 of 2", "0 of 2"],
    ]
    assert [row[1:] for row in table(text, "copy: seeds")] == [
        ["0", "solved", "12,000", "10", "0", "0.5"],
        ["1", "finished", "8,000", "20", "0", "4"],
        ["2", "failed", "", "", "", ""],
        ["0", "finished", "never", "10", "2", "9"],
        ["1", "solved", "20,000", "20", "0", "7"],
    ]


def test_labels_join_folders(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [f"ff, a=b={sweep}/3", f"ff, a=b={sweep}/4", f"LSTM={sweep}/0"]
    text = printed(capsys, *runs, "--to", tmp_path)
    assert [row[:2] for row in table(text, "copy: runs")] == [["ff, a=b", "2"], ["LSTM", "1"]]
    assert "not finished" not in text


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures that are saved, by name."""
    kept: dict[str, Figure] = {}
    monkeypatch.setattr(canvas, "save", lambda figure, path, *_: kept.update({path.stem: figure}))
    return kept


def test_the_figures_draw_every_seed_under_its_label(sweep: Path, drawn: dict[str, Figure]) -> None:
    compare.main([str(sweep)])
    assert set(drawn) == {"learning", "generalisation"}
    (axis,) = drawn["learning"].axes
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["controller=lstm (3 seeds)", "controller=double_dense (2 seeds)"]
    assert axis.get_yscale() == "symlog"
    assert "ended early" not in drawn["learning"].get_supxlabel()
    median = axis.lines[3]  # of three seeds: 100 / n + 1, in windows of two points
    assert list(median.get_xdata()) == [20.0 * n for n in range(1, 61)]
    expected = [(100 / (2 * n - 1) + 100 / (2 * n)) / 2 + 1 for n in range(1, 61)]
    assert np.allclose(np.asarray(median.get_ydata(), float), expected)
    (axis,) = drawn["generalisation"].axes
    assert [tick.get_text() for tick in axis.get_xticklabels()] == list(CASES)
    medians = {line.get_label(): list(line.get_ydata()) for line in axis.lines}
    assert medians["controller=double_dense"] == [1, 8]
    assert len(axis.patches) == 1  # length=20 is inside the training range


def test_the_curves_can_be_those_of_wrong_bits(sweep: Path, drawn: dict[str, Figure]) -> None:
    compare.main([str(sweep), "--curve", "errors"])
    (axis,) = drawn["learning"].axes
    assert axis.get_ylabel() == "wrong bits a sequence"
    assert axis.lines[3].get_ydata()[0] == (50 + 25) / 2


def test_the_evaluations_are_the_main_curves(sweep: Path, drawn: dict[str, Figure]) -> None:
    """A step is 10 sequences; the training, in windows of two points, lies behind."""
    for path in sweep.glob("*/history.json"):
        history = json.loads(path.read_text())
        history["evaluations"] = [
            {"step": step, "results": {"length=20": {"loss_bits_per_sequence": loss}}}
            for step, loss in ((60, 8.0), (120, 2.0))
        ]
        write_json(path, history)
    compare.main([str(sweep)])
    (axis,) = drawn["learning"].axes
    shown = axis.get_legend()
    assert shown is not None
    assert shown.get_title().get_text() == "evaluation at length=20"
    names = [text.get_text() for text in shown.get_texts()]
    assert names[:2] == ["controller=lstm (3 seeds)", "controller=double_dense (2 seeds)"]
    assert names[2].startswith("training")
    medians = [line for line in axis.lines if line.get_label() in names[:2]]
    for line in medians:
        assert list(line.get_xdata()) == [600, 1200]
        assert list(line.get_ydata()) == [8, 2]
    behind = [line for line in axis.lines if line.get_zorder() < medians[0].get_zorder()]
    assert [len(line.get_xdata()) for line in behind] == [60, 60]


def test_an_evaluation_without_its_step_is_named(sweep: Path, drawn: dict[str, Figure]) -> None:
    path = sweep / "0/history.json"
    history = json.loads(path.read_text())
    write_json(path, history | {"evaluations": [{"results": {}}]})
    with pytest.raises(ConfigError, match=r"0/history.json .*lacks its step"):
        compare.main([str(sweep)])


def test_figures_come_in_the_formats_asked_for(sweep: Path, tmp_path: Path) -> None:
    compare.main([str(sweep), "--to", str(tmp_path), "--format", "pdf,svg", "--style", "paper"])
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {f"{n}.{e}" for n in ("learning", "generalisation") for e in ("pdf", "svg")}
    with pytest.raises(ConfigError, match="'jpg' is none of png, pdf, svg"):
        compare.main([str(sweep), "--format", "png,jpg"])


def test_a_curve_that_ends_early_is_mentioned(sweep: Path, drawn: dict[str, Figure]) -> None:
    path = sweep / "2/history.json"
    history = json.loads(path.read_text())
    write_json(path, {"training": history["training"][:50]})
    compare.main([str(sweep)])
    assert "a run that ended early keeps its last value" in drawn["learning"].get_supxlabel()


def test_ngrams_are_drawn_beside_the_optimal_estimator(
    composed: Compose, tmp_path: Path, drawn: dict[str, Figure], capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, (optimal, excess) in enumerate([(132.0, 0.5), (134.0, 1.5)]):
        leave(
            tmp_path / str(seed), composed("task=ngrams", f"seed={seed}"), {"length=200": 55.0},
            loss_bits=optimal + excess, optimal_bits=optimal, excess_bits=excess,
        )  # fmt: skip
    compare.main([f"NTM={tmp_path}"])
    (axis,) = drawn["learning"].axes
    (level,) = (line for line in axis.lines if "optimal" in str(line.get_label()))
    assert set(level.get_ydata()) == {133.0}
    assert axis.get_yscale() == "linear"
    assert axis.get_ylim()[0] < 133 < axis.get_ylim()[1] < 200
    cells = table(capsys.readouterr().out, "ngrams: cases")
    excess_bits = ["bits above the optimum", "1", "1.5", "", "1 of 2"]
    assert cells[0] == ["NTM", "length=200", *excess_bits]


def test_repeat_copy_tells_the_content_from_the_marker(
    composed: Compose, tmp_path: Path, drawn: dict[str, Figure], capsys: pytest.CaptureFixture[str]
) -> None:
    case = {"length=10,repeats=20": 5.0}
    leave(tmp_path, composed("task=repeat_copy"), case, content_errors=4.0, marker_errors=1.0)
    compare.main([str(tmp_path)])
    cells = [row[2:4] for row in table(capsys.readouterr().out, "repeat_copy: cases")]
    assert cells == [
        ["wrong bits", "5"], ["wrong content bits", "4"], ["wrong marker bits", "1"],
    ]  # fmt: skip
    assert {"generalisation_content_errors", "generalisation_marker_errors"} < set(drawn)


def test_an_evaluation_at_other_sizes_has_no_curve_and_no_verdict(
    sweep: Path, drawn: dict[str, Figure], capsys: pytest.CaptureFixture[str]
) -> None:
    config: Any = OmegaConf.load(sweep / "0/.hydra/config.yaml")
    leave(sweep / "0", config, {"length=120": 0.5}, 12000, "finished")
    (sweep / "0/history.json").unlink()
    compare.main([str(sweep / "0")])
    text = capsys.readouterr().out
    assert set(drawn) == {"generalisation"}
    assert table(text, "copy: runs")[0][2:6] == ["1 of 1", "", "", "12,000"]


def test_a_run_that_was_killed_or_never_began_is_named(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_json(sweep / "jobs.json", {"jobs": {"5": {"controller": "lstm", "seed": 9}}})
    write_json(sweep / "4/status.json", {"status": "running", "error": None})
    text = printed(capsys, f"all={sweep}/0", f"all={sweep}/1", f"all={sweep}/2", "--to", tmp_path)
    assert "not started" not in text
    text = printed(capsys, sweep, "--to", tmp_path)
    assert f"seed 1 in {sweep}/4: stale" in text
    assert f"{sweep}/5: not started" in text
    assert [row[:2] for row in table(text, "copy: runs")] == [
        ["controller=lstm", "4"],
        ["controller=double_dense", "2"],
    ]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (["nowhere"], "nowhere is not a folder"),
        (["LSTM=nowhere"], "nowhere is not a folder: state LABEL=FOLDER"),
        (["all={sweep}"], "'all' differ in more than their seed: ntm.write_shift_offset is 4.0 or"),
        (["a={sweep}/0", "b={other}"], "'a' holds runs of copy and 'b' runs of ngrams"),
        (["{sweep}/0/.hydra"], "holds no run"),
        (["{empty}"], "no run in .* was started"),
        (["{nothing}"], "nothing holds no run"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: list[str], message: str, sweep: Path, composed: Compose, tmp_path: Path
) -> None:
    leave(tmp_path / "other", composed("task=ngrams"))
    make(tmp_path / "nothing/0")
    make(tmp_path / "empty")
    write_json(tmp_path / "empty/jobs.json", {"jobs": {"0": {"seed": 0}}})
    folders = {"sweep": sweep} | {name: tmp_path / name for name in ("other", "empty", "nothing")}
    given = [run.format(**folders) for run in runs]
    with pytest.raises(ConfigError, match=message):
        study.read(given)


def test_a_value_that_an_older_run_lacks_is_null_in_it(
    sweep: Path, composed: Compose, tmp_path: Path
) -> None:
    older = OmegaConf.create(OmegaConf.to_yaml(composed("controller=lstm", "seed=7")))
    del older.trainer["ema_decay"]
    leave(tmp_path / "older", older)
    with pytest.raises(ConfigError, match=r"trainer.ema_decay is 0.99 or None"):
        study.read([f"a={sweep}/0", f"a={tmp_path}/older"])
    newer = composed("controller=lstm", "seed=8", "trainer.ema_decay=null")
    leave(tmp_path / "newer", newer)
    read = study.read([f"a={tmp_path}/newer", f"a={tmp_path}/older"])
    assert [seed.seed for seed in read.seeds["a"]] == [8, 7]


def test_what_differs_is_read_from_the_configurations(sweep: Path, tmp_path: Path) -> None:
    """Not from what was stated: the folder may have been copied without it."""
    for path in sweep.rglob("overrides.yaml"):
        path.unlink()
    read = study.read([str(sweep)])
    assert {label: len(seeds) for label, seeds in read.seeds.items()} == {
        "controller=lstm": 3,
        "controller=double_dense": 2,
    }


def test_runs_in_folders_of_any_name_are_found_in_the_order_of_their_numbers(
    composed: Compose, tmp_path: Path
) -> None:
    for seed in (10, 9):
        leave(tmp_path / f"a=b,c/seed={seed}", composed("controller=lstm", f"seed={seed}"))
    read = study.read([f"all={tmp_path}"])
    assert [seed.seed for seed in read.seeds["all"]] == [9, 10]


def test_the_runs_of_two_sweeps_are_labelled_by_what_differs_between_them(
    composed: Compose, tmp_path: Path
) -> None:
    for folder, rate in (("a", "0.001"), ("b", "0.01")):
        for seed in (0, 1):
            stated = ("controller=lstm", f"optimizer.learning_rate={rate}", f"seed={seed}")
            leave(tmp_path / folder / str(seed), composed(*stated))
    read = study.read([str(tmp_path / "a"), str(tmp_path / "b")])
    assert list(read.seeds) == ["optimizer.learning_rate=0.001", "optimizer.learning_rate=0.01"]


def test_the_seeds_of_one_kind_are_written_as_csv(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made/lstm.csv"
    # Lost twice (0.1 is no more than the bound, and 9 was before the first solution), and never.
    for number, found in enumerate([[9.0, 0.0, 0.1, 0.2, 0.0, 7.0, 0.0], [0.0, 0.1]]):
        history = json.loads((sweep / f"{number}/history.json").read_text())
        history["evaluations"] = [
            {"step": step, "results": {"length=20": {"bit_errors_per_sequence": wrong}}}
            for step, wrong in enumerate(found, start=1)
        ]
        write_json(sweep / f"{number}/history.json", history)
    lstm = [f"LSTM={sweep}/{number}" for number in (2, 1, 0)]
    text = printed(capsys, *lstm, "--to", tmp_path, "--csv", path)
    assert table(text, "copy: runs")[0][4] == "1 of 3"
    errors = [f"{case} bit_errors_per_sequence" for case in CASES]
    assert path.read_text().splitlines() == [
        ",".join(
            [
                *("seed", "status", "parameters", "solved_at_sequences", "sequences", "seconds"),
                *("lost_again", *errors),
            ]
        ),
        "0,solved,62660,12000,,10.0,2,0.0,0.5",
        "1,finished,62660,8000,,20.0,0,0.0,4.0",
        "2,failed,,,,,,,",
    ]
    with pytest.raises(ConfigError, match="these are 2: controller=lstm; controller=double_dense"):
        compare.main([str(sweep), "--csv", str(path)])


def test_a_file_that_is_not_json_is_named(sweep: Path) -> None:
    (sweep / "1/metrics.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=f"{sweep}/1/metrics.json is not readable as JSON"):
        study.read([str(sweep)])


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_writes_pictures_and_prints_markdown(sweep: Path, tmp_path: Path) -> None:
    done = command("-m", "runner.compare", f"LSTM={sweep}/0", "--to", str(tmp_path / "made"))
    assert done.returncode == 0
    assert done.stdout.startswith("## copy: runs\n\n|")
    paths = [Path(line) for line in done.stderr.splitlines()]
    assert [path.name for path in paths] == ["learning.png", "generalisation.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_a_reader_may_stop_reading(sweep: Path) -> None:
    """As `| head` does."""
    arguments = [sys.executable, "-m", "runner.compare", str(sweep), "--to", str(sweep.parent)]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=-1, stderr=-1, text=True) as started:
        assert started.stdout
        assert started.stderr
        started.stdout.close()
        assert "Error" not in started.stderr.read()
    assert started.returncode == 141


@pytest.mark.parametrize("arguments", [[], ["x", "--below", "much"], ["x", "--cruve", "loss"]])
def test_a_mistake_is_one_paragraph_and_status_2(arguments: list[str]) -> None:
    done = command("-m", "runner.compare", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Configuration error: ")
    assert len(done.stderr.splitlines()) == 1


def test_neither_tensorflow_nor_keras_is_imported() -> None:
    code = (
        "import sys, runner.compare, runner.ship, runner.reporting.charts\n"
        "sys.exit(bool({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert command("-c", code).returncode == 0
