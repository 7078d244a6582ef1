"""The configuration of a saved run: evaluated, gone on with, refused where it is damaged."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from runner.config import checks, command_line, saved, targets
from runner.config.schema import GROUPS, task_from
from runner.errors import ConfigError
from runner.store import checkpoint
from tasks import RepeatCopy

from .conftest import Compose


def leave_model(folder: Path) -> None:
    """Leave a model that is whole, which is all that is looked at before it is loaded."""
    zipfile.ZipFile(folder / "model.keras", "w").close()


@pytest.fixture
def run_folder(tmp_path: Path, composed: Compose) -> Path:
    """The folder of a trained run with sizes that are not the defaults."""
    config = composed(
        "task=associative_recall",
        "controller=lstm",
        "controller.units=[30]",
        "ntm.n_width=64",
        "ntm.m_depth=12",
        "seed=3",
        "trainer.steps=77",
        "evaluate.sequences=10",
    )
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(config, tmp_path / ".hydra/config.yaml")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/1.npz").touch()
    leave_model(tmp_path)
    return tmp_path


def settled(composed: Compose, *overrides: str) -> DictConfig:
    """What runs after this command line, which `run.py` completes from the saved run first."""
    complete = command_line.complete(overrides)
    chosen = [override for override in complete if override.partition("=")[0] in GROUPS]
    stated = [override for override in complete if override not in chosen]
    config = composed(*chosen)
    for key, _, value in (override.partition("=") for override in stated):
        if key != "experiment":
            OmegaConf.update(config, key.lstrip("+"), yaml.safe_load(value))
    return checks.resolve(config, complete)[0]


def test_an_evaluation_takes_all_from_the_saved_run(run_folder: Path, composed: Compose) -> None:
    config = settled(composed, "mode=evaluate", f"checkpoint={run_folder}")
    expected = OmegaConf.load(run_folder / ".hydra/config.yaml")
    expected.mode, expected.checkpoint = "evaluate", str(run_folder)
    assert config == expected


def test_an_evaluation_changes_only_what_is_stated(run_folder: Path, composed: Compose) -> None:
    config = settled(
        composed,
        "mode=evaluate",
        f"checkpoint={run_folder}",
        "ntm.n_width=256",
        "task.max_items=9",
        "evaluate.cases=[items=9,items=30]",
        "controller=lstm",
        "ntm.m_depth=12",
    )
    assert (config.ntm.n_width, config.ntm.m_depth) == (256, 12)
    assert (config.task.max_items, config.evaluate.cases) == (9, ["items=9", "items=30"])
    assert (config.evaluate.sequences, config.seed) == (10, 3)
    assert targets.arguments(config.controller) == {"name": "lstm", "units": [30]}


def test_a_count_is_evaluated_on_the_scale_that_it_was_trained_with(
    tmp_path: Path, composed: Compose
) -> None:
    saved.write_config(composed("task=repeat_copy"), tmp_path)
    leave_model(tmp_path)
    given = ("mode=evaluate", f"checkpoint={tmp_path}", "task.max_length=12", "task.max_repeats=25")
    config = settled(composed, *given)
    expected = [f"length={n},repeats={r}" for n, r in ((10, 10), (10, 20), (20, 10), (12, 25))]
    assert config.evaluate.cases == expected
    task = task_from(config)
    assert isinstance(task, RepeatCopy)
    assert task.normalise(np.array(25)) == pytest.approx((25 - 5.5) / (99 / 12) ** 0.5)
    named = settled(composed, *given, "evaluate.cases=['length=3,repeats=30']")
    assert named.evaluate.cases == ["length=3,repeats=30"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ntm.m_depth=20", "the run was made with ntm.m_depth=12"),
        ("ntm.read_heads=2", "the run was made with ntm.read_heads=1"),
        ("controller=dense", "the run was made with controller=lstm"),
        ("controller.units=[40]", "the run was made with controller.units=[30]"),
        ("model=lstm", "the run was made with model=ntm"),
        ("task=copy", "the run was made with task=associative_recall"),
        ("experiment=quick", "experiment=quick cannot be used"),
        ("task.bits=7", "task.bits=7 changes how a sequence is written"),
        ("task.bits=1000000000", "task.bits=1000000000"),
        ("task.item_length=2", "task.item_length=2 changes how a sequence is written"),
        ("resume=elsewhere", "mode=evaluate does not train"),
    ],
)
def test_an_evaluation_refuses_what_the_weights_rule_out(
    override: str, message: str, run_folder: Path, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        settled(composed, "mode=evaluate", f"checkpoint={run_folder}", override)


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("task.context=190", "task.context=190"),
        ("task.context=250 task.min_length=300 task.max_length=300", "length=200 is not a whole"),
    ],
)
def test_contexts_that_no_saved_sequence_has_are_refused(
    stated: str, message: str, composed: Compose, tmp_path: Path
) -> None:
    """One of them needs a table of 2^190 numbers, the other longer sequences than the run had."""
    saved.write_config(composed("task=ngrams"), tmp_path)
    leave_model(tmp_path)
    given = ("mode=evaluate", f"checkpoint={tmp_path}", *stated.split())
    with pytest.raises(ConfigError, match=re.escape(message)):
        settled(composed, *given)


def test_a_resumed_run_changes_only_how_long_and_what_is_seen(
    run_folder: Path, composed: Compose
) -> None:
    config = settled(composed, f"resume={run_folder}", "trainer.steps=99", "trainer.log_every=3")
    expected = OmegaConf.load(run_folder / ".hydra/config.yaml")
    expected.resume = str(run_folder)
    expected.trainer.steps, expected.trainer.log_every = 99, 3
    assert config == expected


@pytest.mark.parametrize(
    "override",
    ["seed=4", "trainer.batch_size=2", "optimizer.learning_rate=1", "ntm.n_width=65", "model=lstm"],
)
def test_a_resumed_run_refuses_to_become_another(
    override: str, run_folder: Path, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match="when a run goes on where it stopped"):
        settled(composed, f"resume={run_folder}", override)


def test_a_run_is_not_resumed_for_fewer_steps_than_it_has_done(
    run_folder: Path, composed: Compose
) -> None:
    (run_folder / "checkpoints/1.npz").unlink()
    checkpoint.save(run_folder / "checkpoints", 60, [], {"step": 60, "began": 10}, {})
    with pytest.raises(ConfigError, match=r"has done 50 steps and trainer.steps=49"):
        settled(composed, f"resume={run_folder}", "trainer.steps=49")
    assert settled(composed, f"resume={run_folder}", "trainer.steps=50").trainer.steps == 50


def test_a_training_from_saved_weights_changes_all_but_what_they_belong_to(
    run_folder: Path, composed: Compose
) -> None:
    config = settled(
        composed,
        f"init_from={run_folder}",
        "seed=8",
        "optimizer=rmsprop",
        "trainer.steps=5",
        "ntm.n_width=99",
        "task.max_items=9",
    )
    expected = OmegaConf.load(run_folder / ".hydra/config.yaml")
    assert config.optimizer == composed("task=associative_recall", "optimizer=rmsprop").optimizer
    expected.seed, expected.trainer.steps, expected.ntm.n_width = 8, 5, 99
    expected.task.max_items, expected.init_from = 9, str(run_folder)
    expected.optimizer = config.optimizer
    expected.trainer.restarts = 0  # They would begin again with other weights.
    assert config == expected


def test_a_map_states_what_it_names_and_nothing_else(run_folder: Path, composed: Compose) -> None:
    """The rest stays that of the run, which has another memory than a recipe."""
    by_map = settled(composed, f"init_from={run_folder}", "ntm={n_width: 99, gate_offset: 0.5}")
    by_keys = settled(composed, f"init_from={run_folder}", "ntm.n_width=99", "ntm.gate_offset=0.5")
    assert by_map == by_keys
    assert by_map.ntm.m_depth == 12


def test_new_beginnings_are_left_to_who_asks_for_them(run_folder: Path, composed: Compose) -> None:
    for stated in ("trainer.restarts=2", "++trainer.restarts=2", "trainer={restarts: 2}"):
        assert settled(composed, f"init_from={run_folder}", stated).trainer.restarts == 2, stated


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ntm.m_depth=20", "the run was made with ntm.m_depth=12"),
        ("controller=dense", "the run was made with controller=lstm"),
        ("controller.units=[40]", "the run was made with controller.units=[30]"),
        ("task=copy", "an input_dim of 8, and this copy has one of 10"),
        ("task.bits=7", "an input_dim of 8, and this associative_recall has one of 9"),
        ("experiment=quick", "experiment=quick cannot be used"),
        ("recipe=none", "recipe=none cannot be used when a training begins with a run's weights"),
        ("resume=elsewhere", "leave one of them out"),
    ],
)
def test_a_training_from_saved_weights_refuses_what_they_rule_out(
    override: str, message: str, run_folder: Path, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        settled(composed, f"init_from={run_folder}", override)


@pytest.mark.parametrize(
    ("missing", "arguments"),
    [
        ("model.keras", ["mode=evaluate", "checkpoint={}"]),
        (".hydra/config.yaml", ["mode=evaluate", "checkpoint={}"]),
        ("checkpoints/1.npz", ["resume={}"]),
    ],
)
def test_a_folder_that_lacks_something_is_refused(
    missing: str, arguments: list[str], run_folder: Path, composed: Compose
) -> None:
    (run_folder / missing).unlink()
    name = missing.partition("/1")[0]
    with pytest.raises(ConfigError, match=re.escape(f"{run_folder} has no {name}")):
        settled(composed, *(argument.format(run_folder) for argument in arguments))


def test_a_damaged_model_is_refused(run_folder: Path, composed: Compose) -> None:
    (run_folder / "model.keras").write_bytes(b"PK cut short")
    given = f"checkpoint={run_folder}"
    with pytest.raises(ConfigError, match=rf"{given} has a damaged model.keras .* resume="):
        settled(composed, "mode=evaluate", given)


def test_a_run_of_another_version_is_refused(run_folder: Path, composed: Compose) -> None:
    path = run_folder / ".hydra/config.yaml"
    path.write_text(path.read_text().replace("m_depth:", "columns:"))
    with pytest.raises(ConfigError, match=r"does not describe a run of this version.*columns"):
        settled(composed, "mode=evaluate", f"checkpoint={run_folder}")


def test_a_value_that_an_older_run_lacks_has_todays_default(
    run_folder: Path, composed: Compose
) -> None:
    path = run_folder / ".hydra/config.yaml"
    path.write_text(
        path.read_text().replace("  m_depth: 12\n", "").replace("  clip_value: null\n", "")
    )
    config = settled(composed, "mode=evaluate", f"checkpoint={run_folder}")
    assert config.ntm.m_depth == composed().ntm.m_depth
    assert config.optimizer.clip_value is None


@pytest.mark.parametrize("how", ["mode=evaluate checkpoint", "resume"])
def test_what_a_recipe_has_learned_since_is_not_asked_of_an_older_run(
    how: str, composed: Compose, tmp_path: Path
) -> None:
    """It was trained before there was a readout, which is part of its recipe today."""
    config = composed("task=repeat_copy", "trainer.steps=77")
    assert config.ntm.readout_units > 0
    older = OmegaConf.to_container(config)
    assert isinstance(older, dict)
    del older["ntm"]["readout_units"]
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(older, tmp_path / ".hydra/config.yaml")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/1.npz").touch()
    leave_model(tmp_path)
    result = settled(composed, *f"{how}={tmp_path}".split())
    assert result.ntm.readout_units == 0
    assert result.ntm.gate_offset == config.ntm.gate_offset
    assert result.trainer.steps == 77


def test_the_groups_of_a_saved_run_come_along_unless_stated(run_folder: Path) -> None:
    arguments = ["mode=evaluate", f"checkpoint={run_folder}", "model=ntm"]
    added = ["task=associative_recall", "controller=lstm", "optimizer=adam"]
    assert command_line.complete(arguments) == [*arguments[:2], *added, arguments[2]]
    assert command_line.complete(["checkpoint=nowhere"]) == ["checkpoint=nowhere"]


def test_what_runs_is_kept_where_hydra_wrote_what_it_composed(
    tmp_path: Path, composed: Compose
) -> None:
    config = composed("seed=5")
    saved.write_config(config, tmp_path)
    assert OmegaConf.load(tmp_path / ".hydra/config.yaml") == config
