"""What was written with the names of before: a run's directory, models, commands.

`older_run/` is what a run of revision cfd2db3 left after two of four steps, cut down to what is
read here, with the losses of all four; most of the shipped models were written by that revision.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from omegaconf import OmegaConf

import ntm
from runner.config import checks, command_line, names, ownership, saved
from runner.errors import ConfigError
from runner.results.runs import read_run
from runner.store import checkpoint

from .conftest import ROOT, Compose

OLDER_RUN = Path(__file__).parent / "older_run"
# Shipped models whose files have the names of before: noise beside the sizes, not below them.
SHIPPED = sorted(
    path.parent.parent
    for path in (ROOT / "models").glob(f"*/{saved.CONFIG}")
    if "perturbation" not in OmegaConf.load(path).ntm
)
# What the run stated, by the names of its time.
STATED = (
    *("task=copy", "controller.units=[4]", "ntm.n_width=8", "ntm.m_depth=4", "task.max_length=4"),
    *("trainer.steps=4", "trainer.batch_size=4", "trainer.shards=1", "trainer.evaluate_every=100"),
    *("trainer.checkpoint_every=2", "trainer.log_every=1", "evaluate.sequences=4"),
    *("evaluate.batch_size=4", "trainer.weight_noise=null", "seed=3"),
)
# What the recipe of its time had, and today's has otherwise.
RECIPE = (
    *("task.near_duplicate_rate=0.1", "ntm.write_shift_offset=0", "optimizer.amsgrad=false"),
    *("ntm.perturbation.state_drift=0.3", "ntm.perturbation.memory_noise=0.1"),
    "ntm.perturbation.memory_clutter=1",
    *("ntm.perturbation.weighting_leak=0.3", "ntm.perturbation.weighting_drift=0.2"),
    *("trainer.clip_norm=10", "trainer.clip_norm_ratio=3", "trainer.state_clip_growth=1000"),
    *("trainer.restarts=0", "trainer.rollback=false"),
)
MADE_WITH = ntm.Perturbation(
    state_noise=0.3,
    state_drift=0.3,
    memory_noise=0.1,
    memory_clutter=1.0,
    weighting_leak=0.3,
    weighting_drift=0.2,
)


@pytest.fixture
def older_run(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLDER_RUN, tmp_path / "run"))


@pytest.mark.parametrize("folder", [OLDER_RUN, *SHIPPED], ids=lambda folder: folder.name)
def test_a_configuration_of_before_has_todays_keys_with_its_values(
    folder: Path, composed: Compose
) -> None:
    before = OmegaConf.load(folder / saved.CONFIG)
    config = saved.load(folder, composed(f"task={before.task.name}"))
    noises = {key: value for key, value in before.ntm.items() if f"ntm.{key}" in names.RENAMED}
    assert noises
    assert {key: config.ntm.perturbation[key] for key in noises} == noises
    assert not noises.keys() & config.ntm.keys()
    rest = {key: value for key, value in before.ntm.items() if key not in noises}
    assert {key: config.ntm[key] for key in rest} == rest


@pytest.mark.parametrize("folder", [OLDER_RUN, *SHIPPED], ids=lambda folder: folder.name)
def test_a_model_of_before_has_the_noise_it_was_made_with(folder: Path) -> None:
    before = OmegaConf.load(folder / saved.CONFIG)
    layer = keras.models.load_model(folder / "model.keras").get_layer("ntm")
    for name in ntm.renamed.RENAMED:
        assert getattr(layer.perturbation, name) == before.ntm.get(name, 0), name
    again = type(layer).from_config(layer.get_config())
    assert again.perturbation == layer.perturbation


@pytest.mark.parametrize("where", ["configuration", "checkpoint"])
def test_a_directory_of_before_belongs_to_the_run_that_it_is_of(
    where: str, older_run: Path, composed: Compose
) -> None:
    """By its configuration, and by the one that a checkpoint may hold."""
    if where == "checkpoint":
        made: Any = OmegaConf.to_container(OmegaConf.load(older_run / saved.CONFIG))
        (older_run / saved.CONFIG).unlink()
        folder = older_run / checkpoint.CHECKPOINTS
        checkpoint.save(folder, 3, [tf.Variable(1.0)], {"step": 3}, made)
    ownership.check(composed(*command_line.complete(STATED), *RECIPE), older_run)
    refusal = r"ntm.perturbation.memory_clutter=1.0, not 2.0"
    with pytest.raises(ConfigError, match=refusal):
        stated = (*STATED, *RECIPE, "ntm.perturbation.memory_clutter=2")
        ownership.check(composed(*stated), older_run)


@pytest.mark.parametrize("sign", ["", "+", "++"])
def test_a_command_of_before_is_taken_for_todays(
    sign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"{sign}ntm.state_noise=0.2,0.3", "-m", "ntm.n_width=8"]
    meant = [f"{sign}ntm.perturbation.state_noise=0.2,0.3", "-m", "ntm.n_width=8"]
    assert command_line.complete(given) == meant
    assert capsys.readouterr().err == (
        "ntm.state_noise is called ntm.perturbation.state_noise now.\n"
    )
    assert command_line.complete(meant) == meant
    assert not capsys.readouterr().err


def test_a_file_with_a_key_of_before_is_refused_by_the_name_of_today(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nntm: {read_noise: 1}\n")
    command = ["run.py", "--config-dir", str(tmp_path), "experiment=mine"]
    run = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert "ntm.read_noise is called ntm.perturbation.read_noise now" in run.stderr


def test_a_sweep_of_before_has_todays_columns(older_run: Path) -> None:
    (older_run / saved.OVERRIDES).write_text("- ntm.memory_clutter=1.0\n- seed=3\n")
    run = read_run(older_run)
    assert run.asked == ("ntm.perturbation.memory_clutter", "seed")
    assert run.config["ntm"]["perturbation"] == MADE_WITH.as_dict()


@pytest.mark.slow
def test_a_run_of_before_goes_on_as_it_would_have(older_run: Path, composed: Compose) -> None:
    from runner import job

    expected = json.loads((older_run / "history.json").read_text())["training"]
    (older_run / "history.json").unlink()
    stated = f"resume={older_run}"
    config, _ = checks.resolve(composed("task=copy", stated), [stated])
    job.run(config, older_run)
    found = json.loads((older_run / "history.json").read_text())["training"]
    assert found[-1]["step"] == expected[-1]["step"] == 4
    losses = [[point["loss_bits"] for point in points[-2:]] for points in (found, expected)]
    # Not to the last bit: the run was made on one processor, the test runs on any.
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_key_newer_than_a_run_is_not_what_the_recipe_asks_for(
    older_run: Path, composed: Compose
) -> None:
    path = older_run / saved.CONFIG
    config = OmegaConf.load(path)
    del config.task.lookalikes  # task.near_duplicate_rate today
    OmegaConf.save(config, path)
    today = composed("task=copy", "task.zero_rate=0.3")
    assert today.task.near_duplicate_rate > 0
    loaded = saved.load(older_run, today)
    assert loaded.task.near_duplicate_rate == 0
    assert loaded.task.zero_rate == config.task.blanks
