"""What differs between runs, read from their configurations, and how to say it in few words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.config.schema import GROUPS
from runner.config.targets import TARGET
from runner.store import records

SEED = "seed"
# Values that say where and how a run is computed and shown, not what it is.
NO_MATTER = (
    *("device", "compilation_cache", "resume", "checkpoint", "evaluate.batch_size"),
    *("trainer.shards", "trainer.verbose", "trainer.log_every", "trainer.checkpoint_every"),
    *("trainer.histograms", "trainer.profile", "figures.format", "figures.style"),
)
# What decides other values comes before them: the choice of an option, and the recipe.
FIRST = (*GROUPS, "recipe")
MOST_CHARACTERS = 120  # of a label: it names a folder
REMAINDER = 3  # characters that say that a label was cut

Values = Mapping[str, Any]


def values(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A nested configuration by dotted keys; the choice of a group by the group's name alone.

    What was stated, and no value tells of afterwards, is taken from the overrides: a preset. What
    the option of a group is made of follows from its name, which older runs have alone.
    """
    flat = {
        _group_of(key): value
        for key, value in records.flat(config).items()
        if not key.endswith(f".{TARGET}")
    }
    return {key: value for key, value in stated(overrides).items() if key not in flat} | flat


def stated(overrides: Sequence[str]) -> dict[str, str]:
    """Overrides such as `controller=lstm` by key, without those of Hydra itself."""
    parts = (override.lstrip("+~").split("=", 1) for override in overrides if "=" in override)
    return {key: value for key, value in parts if not key.startswith("hydra")}


def _group_of(key: str) -> str:
    group, _, name = key.rpartition(".")
    return group if name == "name" and group in GROUPS else key


def keys(runs: Sequence[Values], asked: Iterable[str] = ()) -> list[str]:
    """The keys that tell runs from each other, the seed last.

    A value that follows from another one, as all that a controller's recipe sets does from the
    controller, is left out unless it was stated. A key that a run lacks is null in it.

    Args:
        runs: for each its values, as `values` gives them.
        asked: keys that the person has stated for some run.
    """
    differing = [key for key in _all_keys(runs) if _number_of_values(runs, key) > 1]
    known = [key for key in differing if key != SEED and key not in NO_MATTER]
    found = [key for key in dict.fromkeys(asked) if key in known]
    for key in [*(key for key in FIRST if key in known), *known]:
        if key not in found and not _follows(runs, key, found):
            found.append(key)
    if SEED in differing:
        found.append(SEED)
    for key in (key for key in NO_MATTER if key in differing):
        if not _follows(runs, key, found):
            found.append(key)
    return found


def label(run: Values, columns: Sequence[str]) -> str:
    """What a run has in these columns, such as `controller=lstm seed=1`.

    Of keys that would make it too long for the name of a folder the last part stands alone, as far
    as it is that of one key.
    """
    there = [key for key in columns if key in run]
    text = " ".join(f"{key}={shown(run[key])}" for key in there)
    if len(text) <= MOST_CHARACTERS:
        return text
    last = [key.rpartition(".")[2] for key in there]
    names = [end if last.count(end) == 1 else key for key, end in zip(there, last, strict=True)]
    return " ".join(f"{name}={shown(run[key])}" for name, key in zip(names, there, strict=True))


def as_folder(text: str) -> str:
    """A label as the name of a folder."""
    name = text.replace("/", "-").strip(" .")
    return name if len(name) <= MOST_CHARACTERS else name[: MOST_CHARACTERS - REMAINDER] + "..."


def shown(value: Any) -> str:
    """A value as one states it: `null`, `true`, `[100,100]`, `0.001`."""
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def _all_keys(runs: Sequence[Values]) -> Iterator[str]:
    yield from dict.fromkeys(key for run in runs for key in run)


def _number_of_values(runs: Sequence[Values], key: str) -> int:
    return len({_comparable(run.get(key)) for run in runs})


def _follows(runs: Sequence[Values], key: str, others: Sequence[str]) -> bool:
    """Whether runs that agree in `others` agree in `key` as well."""
    first: dict[Any, Any] = {}
    for run in runs:
        place = tuple(_comparable(run.get(other)) for other in others)
        value = _comparable(run.get(key))
        if first.setdefault(place, value) != value:
            return False
    return True


def _comparable(value: Any) -> Any:
    return str(value) if isinstance(value, bool | list | tuple | dict) else value
