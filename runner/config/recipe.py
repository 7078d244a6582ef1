"""The recipe in force: what it takes to learn a task with a controller, in `conf/recipe/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runner.config.explain import options_of
from runner.errors import ConfigError
from tasks.cases import suggestion

GROUP, NONE = "recipe", "none"
# Where the values of a recipe are.
PARTS = ("task.", "ntm.", "optimizer.", "trainer.")


def check(config: Any, overrides: Sequence[str]) -> None:
    """Refuse a recipe that does not exist, which Hydra passes over. Raises ConfigError."""
    for given in overrides:
        key, _, name = given.lstrip("+~").partition("=")
        if key == GROUP and config.recipe is None:
            known = sorted(options_of(GROUP))
            raise ConfigError(
                f"{given} does not exist{suggestion(name, known)}. The recipes are "
                f"{', '.join(known)}; leave it out for that of task=... and controller=..."
            )


def in_words(config: Any, overrides: Sequence[str], choices: Mapping[str, Any]) -> str:
    """The recipe in force, and what the command line changed of it.

    overrides: as stated; choices: the option of each group that was chosen.
    """
    pair = f"{choices['task']}/{choices['controller']}"
    if config.init_from is not None:
        own = f" (recipe {config.recipe})" if config.recipe else ""
        text = f"the weights and the values of {config.init_from}{own}"
    elif config.recipe is None:
        task = f"{choices['task']}/"
        others = sorted(name for name in options_of(GROUP) if name.startswith(task))
        hint = f" (recipe=... takes that of another: {', '.join(others)})" if others else ""
        text = f"no recipe for {pair}: the plain machine{hint}"
    elif config.recipe == NONE:
        text = "no recipe: the plain machine"
    else:
        lacks = config.recipe != pair == choices.get(GROUP, pair)
        of_another = f" (there is none for {pair})" if lacks else ""
        text = f"recipe {config.recipe}{of_another}"
    changed = [given for given in overrides if given.lstrip("+~").startswith(PARTS)]
    return f"{text}, with {' '.join(changed)}" if changed else text
