"""The directory of a sweep is held while it runs, by the process that started it."""

import pickle
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from runner.config import plan, schema
from runner.config.callbacks import CheckFirst
from runner.errors import ConfigError, Refused

from .conftest import ROOT


def start(callback: CheckFirst, folder: Path, *overrides: str, **over: str) -> None:
    """What Hydra does before the first job of a sweep; over: values that it sweeps over."""
    schema.register()
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config: DictConfig = compose(
            "config", [f"hydra.sweep.dir={folder}", *overrides], return_hydra_config=True
        )
        with open_dict(config):
            config.hydra.job.num = "???"
            config.hydra.sweeper.params = over
        callback.on_multirun_start(config)
    GlobalHydra.instance().clear()


def refused(folder: Path, *overrides: str, **over: str) -> str:
    with pytest.raises(Refused) as refusal:
        start(CheckFirst(), folder, *overrides, **over)
    assert isinstance(refusal.value.__cause__, ConfigError)
    return str(refusal.value.__cause__)


def test_a_second_sweep_in_a_directory_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    first = CheckFirst()
    start(first, tmp_path / "sweep")
    assert f"{tmp_path / 'sweep'} is in use" in refused(tmp_path / "sweep")
    first.on_multirun_end(DictConfig({}))
    start(CheckFirst(), tmp_path / "sweep")


def test_a_launcher_can_send_the_callback_to_its_workers(tmp_path: Path) -> None:
    first = CheckFirst()
    start(first, tmp_path / "sweep")
    pickle.loads(pickle.dumps(first)).on_multirun_end(DictConfig({}))
    assert "is in use" in refused(tmp_path / "sweep")


@pytest.mark.parametrize("place", ["sweep.dir=", "sweep.subdir=", "job.name=a/b"])
def test_a_refused_sweep_makes_nothing(place: str, tmp_path: Path) -> None:
    assert f"hydra.{place}" in refused(tmp_path / "sweep", f"hydra.{place}")
    assert not (tmp_path / "sweep").exists()


def test_a_key_that_only_some_jobs_have_is_said_to_be(tmp_path: Path) -> None:
    text = refused(tmp_path / "sweep", controller="dense,lstm", **{"controller.units": "[100]"})
    assert "job 0 (controller=dense controller.units=[100]): there is no key" in text
    assert "Only some jobs of this sweep over controller=dense,lstm have it" in text


def test_the_plan_of_a_sweep_says_what_its_jobs_differ_in(tmp_path: Path) -> None:
    """Not the width of the memory, which each recipe sets: it follows from the controller."""
    given = ("hydra.sweep.subdir='x ${hydra.job.num}'", "ntm.m_depth=9")
    start(CheckFirst(), tmp_path / "sweep", *given, controller="dense,lstm", seed="3,4")
    made = plan.read(tmp_path / "sweep")
    assert made.columns == ["controller", "seed"]
    assert made.jobs == {
        "x 0": {"controller": "dense", "seed": 3},
        "x 1": {"controller": "dense", "seed": 4},
        "x 2": {"controller": "lstm", "seed": 3},
        "x 3": {"controller": "lstm", "seed": 4},
    }
    assert made.command == f"python run.py -m ntm.m_depth=9 hydra.sweep.dir={tmp_path / 'sweep'}"
