"""The command line as a person writes it, turned into what Hydra's grammar takes.

Three things are made easier than Hydra alone has them: a key that has another name today is taken
for that, cases need no quotes, as in `evaluate.cases=[length=20,length=120]`, and `checkpoint=DIR`,
`resume=DIR` or `init_from=DIR` brings the saved run's task, model, controller and optimizer along,
so that their values can be overridden.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

from runner.config import names
from runner.config.explain import options_of
from runner.config.saved import RUNS, saved_names
from runner.config.schema import GROUPS
from runner.config.targets import CONF
from runner.errors import ConfigError

CASES = "evaluate.cases="
PRESETS = ("experiment", "recipe")  # groups of which a run may have no option


def complete(arguments: Sequence[str]) -> list[str]:
    """Return the arguments for Hydra. Raises ConfigError for a group without an option."""
    for argument in arguments:
        _refuse_no_option(argument)
    quoted = [_quote_cases(_with_name_of_today(argument)) for argument in arguments]
    stated = {argument.partition("=")[0] for argument in quoted}
    for place, argument in enumerate(quoted):
        key, _, folder = argument.partition("=")
        if key in RUNS:  # Beside it: Hydra takes no overrides on both sides of an option.
            made_with = saved_names(Path(folder.strip("'\"")).expanduser(), options_of)
            added = [f"{group}={name}" for group, name in made_with.items() if group not in stated]
            return [*quoted[: place + 1], *added, *quoted[place + 1 :]]
    return quoted


def _refuse_no_option(argument: str) -> None:
    """Refuse `task=null`, `~task` and `=5`: Hydra's own messages would not name the group.

    Nor is `experiment=paper/_common` an option: a file with such a name is a part of others.
    """
    key, equals, option = argument.partition("=")
    group = key.removeprefix("~")
    if equals and not key:
        raise ConfigError(f"{argument} names no key: write key=value, such as seed=5.")
    if equals and "/_" in f"/{option}" and (CONF / group / f"{option}.yaml").is_file():
        options = ", ".join(sorted(options_of(group)))
        raise ConfigError(f"{argument} is a part of other options, which are {options}.")
    removed = key != group or (equals and option.strip().lower() in ("null", "", "~"))
    if removed and group in (*GROUPS, *PRESETS):
        leave = "leave it out, or " if group in PRESETS else ""
        options = ", ".join(sorted(options_of(group)))
        raise ConfigError(
            f"{argument} chooses nothing: {leave}write {group}=... with one of {options}."
        )


def _with_name_of_today(argument: str) -> str:
    """The argument with the key's name of today, and a line on stderr if it has changed."""
    result = names.override_today(argument)
    key = argument.partition("=")[0].lstrip("+~")
    if result != argument:
        note = names.note(key) if key in names.RENAMED else f"{argument} is called {result} now"
        print(f"{note}.", file=sys.stderr)
    return result


def _quote_cases(argument: str) -> str:
    """Quote the cases of `evaluate.cases=...`, of one list, or of several to sweep over."""
    value = argument.removeprefix(CASES)
    if value == argument or "=" not in value or set(value) & set("'\""):
        return argument
    lists = re.findall(r"\[[^\[\]]*\]|[^\[\],]+", value)
    if ",".join(lists) != value or "=" in re.sub(r"\[.*?\]", "", value):
        lists = [value]  # Without brackets, or one is missing.
    return CASES + ",".join(
        f"[{','.join(_quoted(text))}]" if "=" in text else text for text in lists
    )


def _quoted(cases_of_a_list: str) -> list[str]:
    """The cases of a list, each in quotes: a size that comes again starts the next case."""
    cases: list[dict[str, str]] = [{}]
    for part in cases_of_a_list.removeprefix("[").removesuffix("]").split(","):
        size = part.partition("=")[0].strip()
        if size in cases[-1]:
            cases.append({})
        cases[-1][size] = part.strip()
    return [f'"{",".join(case.values())}"' for case in cases]
