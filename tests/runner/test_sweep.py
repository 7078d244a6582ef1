"""The tables of a sweep: every run, failed ones too, then mean and deviation over seeds."""

import csv
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner import sweep as command
from runner.config import ownership
from runner.errors import ConfigError
from runner.results import sweep
from runner.results.table import cell
from runner.store import checkpoint
from runner.store.files import make, read_json, write_json, write_text

from .conftest import ROOT


def leave(
    folder: Path,
    config: Mapping[str, Any],
    status: str | None = "finished",
    error: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    stated: list[str] | None = None,
) -> None:
    """Leave the files of one run."""
    make(folder, ".hydra")
    if stated is not None:
        text = OmegaConf.to_yaml(OmegaConf.create(stated))
        write_text(folder / ".hydra/overrides.yaml", text)
    write_text(folder / ".hydra/config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
    if status is not None:
        write_json(folder / "status.json", {"status": status, "error": error})
    if metrics is not None:
        write_json(folder / "metrics.json", metrics)


def config(controller: str, seed: int, **more: Any) -> dict[str, Any]:
    """With a width that follows from the controller, and a cache that says nothing of the run."""
    return {
        "seed": seed,
        "compilation_cache": f"/tmp/{controller}{seed}",
        "controller": {"name": controller},
        "ntm": {"n_width": 3 if controller == "lstm" else 4},
        "evaluate": {"cases": ["length=20"]},
        **more,
    }


def metrics(seconds: float, solved: int | None, errors: float) -> dict[str, Any]:
    return {
        "task": "copy",
        "seed": 0,
        "parameters": 7,
        "seconds": seconds,
        "compile_seconds": 3 * seconds,
        "solved_at_sequences": solved,
        "evaluation": {"length=20": {"bit_errors_per_sequence": errors, "bit_accuracy": 0.5}},
        "environment": {"device": "cpu"},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two controllers, the first with two seeds that ended and one that failed."""
    leave(tmp_path / "0", config("lstm", 0), "solved", None, metrics(1.0, 800, 0.0))
    leave(tmp_path / "1", config("lstm", 1), "finished", None, metrics(4.0, None, 3.0))
    leave(tmp_path / "2", config("lstm", 2), "failed", "ValueError: a|b, c\nd")
    leave(tmp_path / "3", config("dense", 0), "solved", None, metrics(5.0, 900, 1.0))
    leave(tmp_path / "10", config("dense", 1), status=None)
    return tmp_path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tables(path: Path) -> list[list[list[str]]]:
    """The cells of the tables in a Markdown file, the heading first."""
    return [
        [[cell.strip() for cell in line[1:-1].split(" | ")] for line in part.splitlines()]
        for part in path.read_text(encoding="utf-8").split("\n\n")
        if part.startswith("|")
    ]


ERRORS = "length=20 bit_errors_per_sequence"


def test_one_row_a_run_in_the_order_of_their_numbers(folder: Path) -> None:
    sweep.write(folder)
    runs = rows(folder / "sweep.csv")
    assert [row["run"] for row in runs] == ["0", "1", "2", "3", "10"]
    assert [row["controller"] for row in runs] == ["lstm"] * 3 + ["dense"] * 2
    assert [row["seed"] for row in runs] == ["0", "1", "2", "0", "1"]
    assert [row["status"] for row in runs] == [
        *("solved", "finished", "failed", "solved", "not started")
    ]
    assert [row["seconds"] for row in runs] == ["1.0", "4.0", "", "5.0", ""]
    assert [row["solved_at_sequences"] for row in runs] == ["800", "", "", "900", ""]
    assert [row[ERRORS] for row in runs] == ["0.0", "3.0", "", "1.0", ""]
    assert [row["length=20 bit_accuracy"] for row in runs] == ["0.5", "0.5", "", "0.5", ""]
    assert runs[2]["error"] == "ValueError: a|b, c\nd"


def test_columns_are_what_differs_and_does_not_follow(folder: Path) -> None:
    """The width follows from the controller; the cache is not what a run is."""
    sweep.write(folder)
    head = (folder / "sweep.csv").read_text(encoding="utf-8").partition("\n")[0].split(",")
    assert len(head) == len(set(head))
    assert head[:4] == ["run", "controller", "seed", "status"]
    assert not {"ntm.n_width", "compilation_cache"} & set(head)


def test_what_was_stated_has_a_column_though_it_follows(tmp_path: Path) -> None:
    for number, (rate, width) in enumerate([(0.1, 3), (0.2, 4)]):
        values = {"seed": 0, "rate": rate, "width": width, "other": number}
        leave(tmp_path / str(number), values, stated=[f"width={width}", f"+experiment={rate}"])
    sweep.write(tmp_path)
    assert list(rows(tmp_path / "sweep.csv")[0])[:5] == [
        "run",
        "width",
        "experiment",
        "seed",
        "status",
    ]
    assert [row["experiment"] for row in rows(tmp_path / "sweep.csv")] == ["0.1", "0.2"]


def test_two_rates_are_not_two_seeds_though_nothing_says_what_was_stated(tmp_path: Path) -> None:
    for number, rate in enumerate((0.1, 0.2)):
        values = {"seed": number, "optimizer": {"name": "adam", "learning_rate": rate}}
        leave(tmp_path / str(number), values, "solved", None, metrics(1.0, 800, 0.0))
    sweep.write(tmp_path)
    assert len(rows(tmp_path / "sweep_means.csv")) == 2


@pytest.mark.parametrize("name", ["lstm-{}", "controller=lstm,seed={}", "a b/{}", "x=[1,2]/y={}"])
def test_a_run_is_known_by_what_is_in_its_folder(name: str, tmp_path: Path) -> None:
    for seed in (0, 1, 10):
        run = tmp_path / name.format(seed)
        leave(run, config("lstm", seed), "solved", None, metrics(1.0, 800, 0.0))
        make(run, "figures", "checkpoints")
    sweep.write(tmp_path)
    found = rows(tmp_path / "sweep.csv")
    assert [row["run"] for row in found] == [name.format(seed) for seed in (0, 1, 10)]
    assert [row["seed"] for row in found] == ["0", "1", "10"]


def test_mean_and_sample_deviation_over_the_seeds_of_a_group(folder: Path) -> None:
    sweep.write(folder)
    lstm, dense = rows(folder / "sweep_means.csv")
    assert (lstm["controller"], lstm["runs"], lstm["solved"]) == ("lstm", "3", "1")
    assert float(lstm["seconds"]) == (1.0 + 4.0) / 2
    assert float(lstm["seconds deviation"]) == pytest.approx(((1.5**2 + 1.5**2) / (2 - 1)) ** 0.5)
    assert float(lstm[ERRORS]) == 1.5
    assert float(lstm[f"{ERRORS} deviation"]) == pytest.approx(statistics.stdev([0.0, 3.0]))
    assert float(lstm["solved_at_sequences"]) == 800  # of the runs that solved it
    assert float(dense["seconds"]) == 5.0
    assert dense["seconds deviation"] == ""  # one run has no deviation
    assert not {"seed", "compile_seconds", "status", "run"} & set(lstm)


def test_the_markdown_has_both_tables_best_first_and_what_varies_alone(folder: Path) -> None:
    sweep.write(folder)
    runs, means = tables(folder / "sweep.md")
    columns = [*("run", "controller", "seed", "status", "seconds", "solved_at_sequences")]
    assert runs[0] == [*columns, ERRORS]
    assert [row[0] for row in runs[2:]] == ["0", "3", "1", "2", "10"]
    assert means[0] == ["controller", "solved", "seconds", "solved_at_sequences", ERRORS]
    assert means[2] == ["dense", "1 of 2", "5", "900", "1"]
    assert means[3] == ["lstm", "1 of 3", "2.5 ± 2.121", "800", "1.5 ± 2.121"]
    text = (folder / "sweep.md").read_text(encoding="utf-8")
    assert "The same in all runs: parameters 7." in text
    assert "- 2 (controller=lstm seed=2): failed, ValueError: a\\|b, c d" in text


def test_the_report_says_what_failed_and_where_the_rest_is(folder: Path) -> None:
    text = sweep.report(folder)
    assert "| 2   | lstm" in text
    assert "- 2 (controller=lstm seed=2): failed, ValueError" in text
    assert f"tensorboard --logdir {folder}" in text
    assert str(folder / "sweep.csv") in text


PLAN = {
    "command": "python run.py -m seed=0,1,2 hydra.sweep.dir=sweep",
    "typed_in": "/some where",
    "stated": ["seed=0,1,2"],
    "columns": ["seed"],
    "jobs": {"0": {"seed": 0}, "1": {"seed": 1}, "2": {"seed": 2}},
}


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """Of three jobs one has ended, one was killed, and one was not started."""
    write_json(tmp_path / "jobs.json", PLAN)
    leave(tmp_path / "0", config("lstm", 0), "solved", None, metrics(1.0, 800, 0.0))
    leave(tmp_path / "1", config("lstm", 1), "running")
    return tmp_path


def test_what_has_not_ended_is_listed_with_the_command_that_goes_on(
    planned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([str(planned)])
    text = capsys.readouterr().out
    assert "- 1 (seed=1): stale, its process ended without a word" in text
    assert "- 2 (seed=2): not started" in text
    assert f"to go on: cd '/some where' && {PLAN['command']}" in text
    found = rows(planned / "sweep.csv")
    assert [(row["run"], row["seed"], row["status"]) for row in found] == [
        *(("0", "0", "solved"), ("1", "1", "stale"), ("2", "2", "not started"))
    ]


def test_what_was_planned_to_differ_is_a_column_from_the_first_run_on(planned: Path) -> None:
    jobs = {"0": {"controller": "lstm", "seed": 0}, "2": {"controller": "dense", "seed": 0}}
    write_json(planned / "jobs.json", PLAN | {"jobs": jobs})
    sweep.write(planned)
    found = rows(planned / "sweep.csv")
    assert [row["controller"] for row in found] == ["lstm", "dense", "lstm"]


def test_a_run_whose_process_lives_is_not_stale(planned: Path) -> None:
    with ownership.held(planned / "1"):
        assert "- 1 (seed=1): running" in sweep.report(planned)
    write_text(planned / "1/.lock", "process 1 on another-machine\n")
    assert "- 1 (seed=1): running" in sweep.report(planned)


def test_a_sweep_that_has_ended_needs_no_command(planned: Path) -> None:
    for name in ("1", "2"):
        leave(planned / name, config("lstm", int(name)), "solved", None, metrics(1.0, 8, 0.0))
    assert "to go on" not in sweep.report(planned)


def test_a_pruned_trial_needs_no_going_on(planned: Path) -> None:
    """It has come to a result, which its search counts."""
    leave(planned / "1", config("lstm", 1), "pruned", "PrunedError: ended at step 10")
    leave(planned / "2", config("lstm", 2), "solved", None, metrics(1.0, 8, 0.0))
    text = sweep.report(planned)
    assert "ended early, behind the other trials: 1." in text
    assert "Not finished" not in text
    assert "to go on" not in text


def test_a_number_that_is_huge_takes_no_more_room_than_another() -> None:
    assert [cell(value) for value in (1e30, -2.5e9, 12345.6, 0.12346, None)] == [
        *("1e+30", "-2.5e+09", "12346", "0.1235", "")
    ]


def test_rows_of_an_earlier_command_are_said_to_be(planned: Path) -> None:
    leave(planned / "7", config("lstm", 7), "solved", None, metrics(1.0, 800, 0.0))
    text = sweep.report(planned)
    assert "of earlier commands in this directory, listed too: 7." in text
    assert rows(planned / "sweep.csv")[-1]["run"] == "7"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("", "is not a directory"),
        ("empty", "holds no run"),
        ("run/.hydra/config.yaml", "is the directory of one run, not of a sweep"),
    ],
)
def test_what_is_no_sweep_is_refused(made: str, message: str, tmp_path: Path) -> None:
    place = tmp_path / (made.partition("/")[0] or "nowhere")
    if made:
        make((tmp_path / made).parent if "." in made else tmp_path / made)
    if "." in made:
        write_text(tmp_path / made, "seed: 0\n")
    with pytest.raises(ConfigError, match=message):
        command.main([str(place)])


def test_a_damaged_run_does_not_cost_the_table(folder: Path) -> None:
    (folder / "1/metrics.json").write_text("{", encoding="utf-8")
    (folder / "jobs.json").write_text("[", encoding="utf-8")
    assert "- 1: unreadable, " in sweep.report(folder)
    assert len(rows(folder / "sweep.csv")) == 5


def test_a_folder_without_runs_gets_no_table(tmp_path: Path) -> None:
    assert "no run was started" in sweep.report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_tables_are_written_when_a_job_ends(folder: Path) -> None:
    place = {"sweep": {"dir": folder.name}, "runtime": {"cwd": str(folder.parent)}}
    ended = OmegaConf.create({"hydra": {"mode": RunMode.MULTIRUN, **place}})
    sweep.SweepTable().on_job_end(ended)
    assert len(rows(folder / "sweep.csv")) == 5
    assert not list(folder.glob(".*"))  # Nothing is left half-written.


@pytest.mark.parametrize("ends_well", [True, False])
def test_the_report_is_printed_once_however_the_sweep_ends(ends_well: bool, folder: Path) -> None:
    """Hydra calls on_multirun_end only when every job succeeded."""
    script = f"""
from omegaconf import OmegaConf
from runner.results import sweep

config = OmegaConf.create({{"hydra": {{"sweep": {{"dir": {str(folder)!r}}}}}}})
table = sweep.SweepTable()
with sweep.with_table():
    table.on_multirun_start(config)
    if not {ends_well}:
        raise RuntimeError("the first failure")
    table.on_multirun_end(config)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == ends_well
    assert (folder / "sweep.csv").exists()
    assert done.stdout.count("tensorboard --logdir") == 1


@pytest.mark.slow
def test_a_sweep_of_two_jobs_at_once_leaves_a_complete_folder(tmp_path: Path) -> None:
    """The real thing: Hydra, joblib's processes, TensorFlow; one job fails."""
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "run.py"), "-m", "hydra/launcher=joblib"),
            *("hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "experiment=quick"),
            *("task.max_length=3", "ntm.n_width=8", "trainer.steps=2", "evaluate.sequences=4"),
            *("evaluate.cases=[length=3]", "seed=0,1", "controller=dense"),
            "optimizer.epsilon=1e-5,1e-46",  # The second is nothing in float32: 0 / 0.
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "optimizer.epsilon (now 1e-46)" in done.stderr
    assert done.returncode == 1
    runs = rows(tmp_path / "sweep/sweep.csv")
    assert [row["run"] for row in runs] == ["0", "1", "2", "3"]
    assert list(runs[0])[1:4] == ["optimizer.epsilon", "seed", "status"]
    assert [row["status"] for row in runs] == ["finished", "failed"] * 2
    means = rows(tmp_path / "sweep/sweep_means.csv")
    assert float(means[0]["length=3 bit_errors_per_sequence"]) == pytest.approx(
        sum(float(runs[n]["length=3 bit_errors_per_sequence"]) for n in (0, 2)) / 2
    )
    assert (tmp_path / "sweep/sweep.md").exists()
    assert (tmp_path / "sweep/0/model.keras").exists()


@pytest.mark.slow
def test_the_jobs_of_a_sweep_that_is_killed_leave_checkpoints(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(ROOT / "run.py"), "-m", "hydra/launcher=joblib"),
        *("hydra.launcher.n_jobs=2", "hydra.sweep.dir=sweep", "seed=0,1,2", "task.max_length=3"),
        *("ntm.n_width=8", "trainer.steps=1000000", "trainer.evaluate_every=1000000"),
        *("evaluate.cases=[length=3]", "trainer.checkpoint_every=1000000"),
    ]
    folders = [tmp_path / "sweep" / str(number) for number in range(3)]

    def trains(folder: Path) -> bool:
        log = folder / "run.log"
        return log.exists() and "step 10/" in log.read_text()

    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as killed:
        before = time.monotonic()
        while not all(map(trains, folders[:2])):
            assert time.monotonic() - before < 180, "the jobs did not start"
            time.sleep(0.5)
        killed.kill()
        killed.communicate(timeout=60)  # Until the workers, which hold the pipe, are gone too.
    for folder in folders[:2]:
        assert read_json(folder / "status.json")["status"] == "interrupted"
        assert checkpoint.latest(folder / "checkpoints") is not None
    assert not folders[2].exists()
