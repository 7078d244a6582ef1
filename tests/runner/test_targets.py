"""Tasks and controllers of one's own: what a `_target_` may name, and how it is found again."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from runner.config import targets
from runner.errors import ConfigError

from .conftest import ROOT

PACKAGE = '''
"""A task and a controller of somebody else's."""

import dataclasses

import tasks


@dataclasses.dataclass(kw_only=True)
class ReverseCopy(tasks.Copy):
    """Copy, last vector first."""

    stutter: int = 1

    def encode(self, rng, sizes, steps, training=False):
        batch = super().encode(rng, sizes, steps, training)
        for sequence, length in enumerate(sizes["length"]):
            recall = slice(length + 2, 2 * length + 2)
            batch.targets[sequence, recall] = batch.targets[sequence, recall][::-1].copy()
        return batch


@dataclasses.dataclass(kw_only=True)
class Unfinished(tasks.Task):
    """A task that says nothing."""


def gru(input_dim, output_dim, units: int, bias: bool = True):
    import keras

    layers = [
        keras.layers.Input((None, input_dim), name="seen"),
        keras.layers.GRU(units, return_sequences=True, use_bias=bias, name="gru"),
        keras.layers.Dense(output_dim, name="instructions"),
    ]
    return keras.Sequential(layers, name="controller")


def deletes_all(path):
    raise AssertionError("called")


def of_two_units(input_dim, output_dim, units: "list[int]" = (3, 4), mode: str = "a"):
    raise AssertionError("called")
'''
FILES = {
    "task/reverse_copy.yaml": """
# @package _global_
defaults:
  - /task/copy
  - _self_
task:
  _target_: their_machines.ReverseCopy
  name: reverse_copy
  stutter: 2
""",
    "controller/gru.yaml": "_target_: their_machines.gru\nname: gru\nunits: 5\n",
    "recipe/reverse_copy/lstm.yaml": """
# @package _global_
recipe: reverse_copy/lstm
ntm:
  gate_offset: 3.0
""",
}
SMALL = (
    *("task.bits=2", "task.max_length=2", "ntm.n_width=3", "ntm.m_depth=2"),
    *("evaluate.cases=[length=2]", "evaluate.sequences=2", "trainer.batch_size=2"),
    "trainer.steps=2",
)


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory outside of the project with a package, and a configuration beside it."""
    (tmp_path / "their_machines.py").write_text(PACKAGE)
    for name, text in FILES.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    yield tmp_path
    sys.modules.pop("their_machines", None)
    targets.schema_of.cache_clear()


def test_the_types_are_those_of_the_signature(theirs: Path) -> None:
    node = targets.typed(
        "controller", {"_target_": "their_machines.gru", "name": "gru", "units": 5}
    )
    assert node == {"_target_": "their_machines.gru", "name": "gru", "units": 5, "bias": True}
    assert targets.arguments(node) == {"name": "gru", "units": 5, "bias": True}


@pytest.mark.parametrize(
    ("group", "values", "message"),
    [
        (
            "controller",
            {"units": "x"},
            "controller.units=x is of the wrong type: controller.units ",
        ),
        ("controller", {"unit": 3}, "no key 'controller.unit' (did you mean 'controller.units'?)"),
        ("controller", {"bias": 3.5}, "controller.bias must be true or false"),
        ("controller", {"_target_": "os.system"}, "is not a function of (input_dim, output_dim"),
        ("controller", {"_target_": "their_machines.deletes_all"}, "is not a function of (input_d"),
        ("controller", {"_target_": "their_machines.ReverseCopy"}, "is not a function of (input_"),
        ("controller", {"_target_": "nowhere.gru"}, "cannot be imported (ModuleNotFoundError"),
        ("controller", {"_target_": "gru"}, "cannot be imported"),
        ("controller", {"_target_": None}, "controller has no _target_"),
        ("controller", {"name": "lstm"}, "controller.name=lstm is the name of controllers.lstm"),
        ("task", {"_target_": "their_machines.gru"}, "is not a dataclass derived from tasks.Task"),
        ("task", {"_target_": "subprocess.Popen"}, "is not a dataclass derived from tasks.Task"),
        ("task", {"_target_": "their_machines.Unfinished"}, "Unfinished lacks durations, encode, "),
        ("task", {"bits": "x"}, "task.bits=x is of the wrong type: task.bits must be a whole numb"),
        ("task", {"stuter": 3}, "no key 'task.stuter' (did you mean 'task.stutter'?)"),
    ],
)
def test_what_is_no_target_is_refused(
    group: str, values: dict[str, Any], message: str, theirs: Path
) -> None:
    right = {
        "task": {"_target_": "their_machines.ReverseCopy", "name": "reverse_copy"},
        "controller": {"_target_": "their_machines.gru", "name": "gru"},
    }
    with pytest.raises(ConfigError, match=re.escape(message)):
        targets.typed(group, right[group] | values)


def test_the_options_of_this_project_name_their_targets() -> None:
    """Nothing but their files in conf/ says which tasks and controllers there are."""
    assert targets.targets_of("task") == {
        "associative_recall": "tasks.AssociativeRecall",
        "copy": "tasks.Copy",
        "ngrams": "tasks.NGrams",
        "priority_sort": "tasks.PrioritySort",
        "repeat_copy": "tasks.RepeatCopy",
    }
    assert set(targets.targets_of("controller").values()) == {
        "controllers.dense",
        "controllers.feedforward",
        "controllers.lstm",
    }


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_task_and_a_controller_of_ones_own_train_and_are_evaluated_later(theirs: Path) -> None:
    chosen = ("--config-dir", "conf", "task=reverse_copy", "controller=gru")
    own_recipe = command(theirs, "--cfg", "job", *chosen[:3], "controller=lstm")
    assert "gate_offset: 3.0" in own_recipe.stdout
    wrong = command(theirs, *chosen, "controller.units=0")
    assert (wrong.returncode, "controller.units=0 must be at least 1" in wrong.stderr) == (2, True)

    trained = command(theirs, *chosen, *SMALL, "hydra.run.dir=run", "controller.units=4")
    assert trained.returncode == 0, trained.stderr
    assert "no recipe for reverse_copy/gru: the plain machine" in trained.stdout + trained.stderr
    saved: Any = OmegaConf.load(theirs / "run/.hydra/config.yaml")
    assert saved.task._target_ == "their_machines.ReverseCopy"
    assert saved.controller == {
        "_target_": "their_machines.gru", "name": "gru", "units": 4, "bias": True
    }  # fmt: skip

    # Without the directory of its options: the run alone says what it is made of.
    later = command(
        theirs, "mode=evaluate", "checkpoint=run", "hydra.run.dir=later", "evaluate.sequences=3"
    )
    assert later.returncode == 0, later.stderr

    saved.controller._target_ = "their_machines.deletes_all"
    OmegaConf.save(saved, theirs / "run/.hydra/config.yaml")
    refused = command(theirs, "mode=evaluate", "checkpoint=run", "hydra.run.dir=no")
    assert refused.returncode == 2
    assert "their_machines.deletes_all is not a function" in refused.stderr
