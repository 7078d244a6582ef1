"""Searches: what they vary, how they go on, and how trials that are behind end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner.config import schema
from runner.config.explain import options_of
from runner.errors import ConfigError, PrunedError, RunError
from runner.reporting import trial

from .conftest import ROOT

optuna = pytest.importorskip("optuna", reason="optuna is not installed")
from hydra_plugins.ntm_engines.search import Search  # noqa: E402

RATE = "optimizer.learning_rate"


class Launcher:
    """Runs trials whose objective is their learning rate; above a bound they fail."""

    def __init__(self, bound: float = 1.0, ended_after: int | None = None) -> None:
        self.bound = bound
        self.ended_after = ended_after
        self.jobs: dict[int, float] = {}

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> list[JobReturn]:
        results = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            if len(self.jobs) == self.ended_after:
                raise KeyboardInterrupt
            rate = float(dict(each.split("=") for each in overrides)[RATE])
            assert number not in self.jobs
            self.jobs[number] = rate
            failed = rate > self.bound
            result = JobReturn(status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
            result.return_value = RunError("diverged") if failed else rate
            results.append(result)
        return results


def searched(
    folder: Path,
    launcher: Launcher,
    trials: int,
    at_once: int = 1,
    sampler: Any = None,
    arguments: Sequence[str] = (),
) -> None:
    search = Search(
        prune=OmegaConf.create({}),
        sampler=sampler or optuna.samplers.RandomSampler(),
        direction="minimize",
        storage=f"sqlite:///{folder}/study.db",
        study_name="run",
        n_trials=trials,
        n_jobs=at_once,
        max_failure_rate=1.0,
        search_space=None,
        custom_search_space=None,
        params=OmegaConf.create({RATE: "interval(0.1, 0.9)"}),
    )
    search.sweeper.launcher = launcher
    search.sweeper.hydra_context = SimpleNamespace()
    search.sweeper.config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})
    search.sweep(list(arguments))


def states(folder: Path) -> list[str]:
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{folder}/study.db")
    return [each.state.name for each in study.trials]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_search_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    first, second, third = Launcher(ended_after=3), Launcher(), Launcher()
    with pytest.raises(KeyboardInterrupt):
        searched(tmp_path, first, 6)
    searched(tmp_path, second, 6)
    assert sorted(first.jobs) == [0, 1, 2]
    assert sorted(second.jobs) == [4, 5, 6]  # The directory of job 3 is another run's.
    assert states(tmp_path).count("COMPLETE") == 6
    assert states(tmp_path)[3] == "FAIL"
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{tmp_path}/study.db")
    assert study.trials[3].params == study.trials[4].params  # Begun anew.
    searched(tmp_path, third, 6)
    assert not third.jobs
    best = OmegaConf.load(tmp_path / "optimization_results.yaml")
    assert best.best_value == min([*first.jobs.values(), *second.jobs.values()])


def test_a_search_of_no_trial_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.n_trials=0 must be at least 1"):
        searched(tmp_path, Launcher(), 0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_failed_trial_is_no_end_of_a_search(tmp_path: Path) -> None:
    launcher = Launcher(bound=0.0)
    with pytest.raises(RunError, match="no trial of the search came to a result"):
        searched(tmp_path, launcher, 3, at_once=2)
    assert states(tmp_path) == ["FAIL"] * 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_grid_is_laid_over_the_values_of_the_command_line(tmp_path: Path) -> None:
    """The preset's interval of the same key is none of its concern."""
    launcher = Launcher()
    grid = partial(optuna.samplers.GridSampler)
    given = [RATE + "=0.2,0.3,0.5", "seed=1"]
    searched(tmp_path, launcher, 9, sampler=grid, arguments=given)
    assert sorted(launcher.jobs.values()) == [0.2, 0.3, 0.5]
    other = tmp_path / "fixed"
    other.mkdir()
    searched(other, Launcher(), 1, sampler=grid, arguments=[RATE + "=0.2", "seed=1,2"])
    with pytest.raises(ConfigError, match=rf"{RATE}=interval\(0\.1, 0\.9\) is no list"):
        searched(tmp_path, Launcher(), 9, sampler=grid, arguments=["seed=1,2"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_trial_that_is_behind_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = f"sqlite:///{tmp_path}/study.db"
    study = optuna.create_study(study_name="run", storage=storage)
    for loss in (1.0, 2.0, 3.0):
        other = study.ask({RATE: optuna.distributions.UniformDistribution(0.1, 0.9)})
        other.report(loss, 10)
        study.tell(other, loss)
    mine = study.ask({RATE: optuna.distributions.UniformDistribution(0.1, 0.9)})
    hydra = {
        "mode": RunMode.MULTIRUN,
        "runtime": {"cwd": str(tmp_path)},
        "overrides": {"task": [f"{RATE}={mine.params[RATE]}", "seed=0"]},
        "sweeper": {
            "storage": "sqlite:///study.db",
            "study_name": "run",
            "prune": {"after_trials": 3, "after_steps": 5},
        },
    }
    config = OmegaConf.create(hydra)
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config)
    told: list[int] = []
    watcher: Any = SimpleNamespace(evaluated=lambda step, results: told.append(step))
    watched = trial.watched(watcher, "length=3")
    watched.evaluated(5, {"length=3": {"loss_bits_per_sequence": 9.0}})
    watched.evaluated(8, {"length=3": {"loss_bits_per_sequence": 1.5}})
    assert told == [5, 8]
    worse = study.ask({RATE: optuna.distributions.UniformDistribution(0.1, 0.9)})
    config.overrides.task[0] = f"{RATE}={worse.params[RATE]}"
    behind = trial.watched(watcher, "length=3")
    with pytest.raises(PrunedError, match=r"step 10 with 2\.5 bits") as pruned:
        behind.evaluated(10, {"length=3": {"loss_bits_per_sequence": 2.5}})
    assert pruned.value.value == 2.5
    config.sweeper.prune.after_trials = None
    assert trial.watched(watcher, "length=3") is watcher


@pytest.mark.parametrize("task", sorted(options_of("task")))
def test_each_task_has_a_search(task: str) -> None:
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", [f"experiment=search/{task}"], return_hydra_config=True)
    assert config.task.name == task
    assert config.recipe.startswith(f"{task}/")
    keys = list(config.hydra.sweeper.params)
    for key in keys:
        assert OmegaConf.select(config, key, default="missing") != "missing", key
    for word in ("learning_rate", "clip", "perturbation", "read_heads", "write_heads"):
        assert [key for key in keys if word in key]


@pytest.mark.slow
def test_a_search_of_real_trials_survives_one_that_diverges(tmp_path: Path) -> None:
    command = [
        *(sys.executable, str(ROOT / "run.py"), "-m", "experiment=search/copy"),
        *("hydra.sweep.dir=sweep", "hydra.sweeper.n_trials=3", "task.max_length=3"),
        *("ntm.n_width=8", "trainer.steps=2", "evaluate.sequences=4", "evaluate.cases=[length=3]"),
        *("ntm.read_heads=1", "ntm.write_heads=1", "ntm.perturbation.memory_noise=0"),
        *("controller=dense", "hydra/sweeper/sampler=grid", "seed=0,1"),
        *("trainer.clip_norm=1", "ntm.perturbation.read_noise=0", RATE + "=1e-3"),
        *("ntm.perturbation.weighting_leak=0", "optimizer.epsilon=1e-46,1e-5"),
        f"compilation_cache={ROOT / '.pytest_cache/ntm'}",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [read["status"] for read in map(json.loads, texts(tmp_path / "sweep"))]
    assert sorted(set(found)) == ["failed", "finished"]
    assert len(found) == 3
    assert (tmp_path / "sweep/optimization_results.yaml").exists()


def texts(sweep: Path) -> list[str]:
    return [path.read_text() for path in sorted(sweep.glob("*/status.json"))]
