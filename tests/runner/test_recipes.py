"""The recipes: one for every task and controller, and what a run is told of it."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from runner.config import checks, recipe
from runner.errors import ConfigError

from .conftest import ROOT, TASKS, Compose

RECIPES = sorted((ROOT / "conf/recipe").rglob("*.yaml"))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "controller", ["dense", "double_dense", "feedforward", "wide_dense", "lstm"]
)
def test_every_task_has_a_recipe_for_every_controller(
    task: str, controller: str, composed: Compose
) -> None:
    """Its own or that of another controller, which the recipe in force then names."""
    config = composed(f"task={task}", f"controller={controller}")
    assert config.recipe is not None
    assert (ROOT / "conf/recipe" / f"{config.recipe}.yaml").exists()
    assert config.recipe.partition("/")[0] == task


@pytest.mark.parametrize("task", TASKS)
def test_feedforward_is_double_dense(task: str, composed: Compose) -> None:
    by_one, by_other = (
        composed(f"task={task}", f"controller={name}") for name in ("feedforward", "double_dense")
    )
    by_one.recipe = by_other.recipe
    by_one.controller.name = by_other.controller.name
    assert by_one == by_other


def test_a_pair_without_a_recipe_falls_back_to_the_plain_machine(composed: Compose) -> None:
    config = composed("recipe=none")
    config.recipe = None  # As for a controller that has no file in conf/recipe/<task>/.
    words = recipe.in_words(config, [], {"task": "ngrams", "controller": "gru"})
    assert words.startswith("no recipe for ngrams/gru: the plain machine (recipe=... takes that of")
    assert "ngrams/lstm" in words
    own = recipe.in_words(config, [], {"task": "reverse_copy", "controller": "lstm"})
    assert own == "no recipe for reverse_copy/lstm: the plain machine"


def test_no_recipe_is_the_plain_machine(composed: Compose) -> None:
    """The values of config.yaml itself, but for the rules that every recipe shares."""
    neutral: Any = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/config.yaml"))
    shared = {"ema_decay": None, "restarts": 0, "rollback": False}
    neutral["trainer"] |= shared
    for task in TASKS:
        config = composed(f"task={task}", "recipe=none")
        assert config.ntm == neutral["ntm"]
        assert config.trainer == neutral["trainer"] | {"steps": config.trainer.steps}
        rates = {
            k: v
            for k, v in config.task.items()
            if k in ("zero_rate", "near_duplicate_rate", "random_count_rate")
        }
        assert set(rates.values()) <= {0.0}
        checks.resolve(config, ["recipe=none"])
    assert not neutral["ntm"]["gate_offset"]
    assert not neutral["ntm"]["write_gate_offset"]
    assert not neutral["ntm"]["write_shift_offset"]
    assert set(neutral["ntm"]["perturbation"].values()) == {0.0}
    bounds = ("clip_norm", "clip_norm_ratio", "weight_noise", "curriculum")
    assert {neutral["trainer"][key] for key in bounds} == {None}


@pytest.mark.parametrize("task", TASKS)
def test_every_recipe_begins_again_goes_back_and_averages_by_one_rule(
    task: str, composed: Compose
) -> None:
    trainer = composed(f"task={task}").trainer
    assert (trainer.ema_decay, trainer.restarts) == (0.99, 4)
    assert trainer.rollback is (task != "ngrams")  # Confirmed without.


def test_a_recipe_that_does_not_exist_is_refused(composed: Compose) -> None:
    given = "recipe=copy/lstmm"
    with pytest.raises(ConfigError, match=r"copy/lstmm does not exist \(did you mean 'copy/lstm'"):
        checks.resolve(composed(given), [given])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "recipe copy/lstm"),
        (["ntm.n_width=9", "seed=3"], "recipe copy/lstm, with ntm.n_width=9"),
        (["recipe=none"], "no recipe: the plain machine"),
        (["recipe=copy/dense"], "recipe copy/dense"),
        (
            ["init_from=models/copy", "trainer.steps=9"],
            "the weights and the values of models/copy (recipe copy/lstm), with trainer.steps=9",
        ),
        (
            ["task=ngrams", "controller=wide_dense"],
            "recipe ngrams/lstm (there is none for ngrams/wide_dense)",
        ),
    ],
)
def test_the_recipe_in_force_is_told(overrides: list[str], words: str, composed: Compose) -> None:
    chosen = dict(override.split("=") for override in overrides)
    choices = {"task": "copy", "controller": "lstm"} | chosen
    choices = {"recipe": "{task}/{controller}".format(**choices)} | choices
    assert recipe.in_words(composed(*overrides), overrides, choices) == words


@pytest.mark.parametrize("file", RECIPES, ids=lambda path: f"{path.parent.stem}/{path.stem}")
def test_a_recipe_says_nothing_of_what_is_chosen(file: Path) -> None:
    """Else `task=x controller=y` could fail on a value that y does not have."""
    found = OmegaConf.load(file)
    assert isinstance(found, DictConfig)
    assert set(found) <= {"defaults", "recipe", "task", "ntm", "optimizer", "trainer"}


def test_a_recipe_goes_under_an_experiment_and_the_command_line(composed: Compose) -> None:
    feed_forward = "controller=double_dense"

    def read_noise(*stated: str) -> float:
        return float(composed(*stated).ntm.perturbation.read_noise)

    assert read_noise(feed_forward) > read_noise() == 0
    assert read_noise("experiment=paper/copy_feedforward") == 0
    assert read_noise("task=ngrams", feed_forward) == 0
    assert read_noise(feed_forward, "ntm.perturbation.read_noise=7") == 7


def test_what_would_do_nothing_may_be_in_a_recipe(composed: Compose) -> None:
    config, _ = checks.resolve(composed("optimizer=rmsprop"), ["optimizer=rmsprop"])
    assert config.optimizer.amsgrad
