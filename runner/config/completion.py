"""What a shell completes beyond what Hydra offers: nested options and the folders of runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from hydra.plugins.completion_plugin import CompletionPlugin

from runner.config.explain import options_of
from runner.config.saved import CONFIG, RUNS
from runner.config.targets import CONF

PLACES = ("outputs", "multirun")
MOST = 200  # folders that are offered


def improve() -> None:
    """Let Hydra's completion know what ours does, before it is asked."""
    hydras = CompletionPlugin._query

    def query(self: CompletionPlugin, config_name: str | None, line: str) -> list[str]:
        word = "" if line.endswith(" ") else line.rpartition(" ")[2]
        found = completed(word)
        return hydras(self, config_name, line) if found is None else found

    setattr(CompletionPlugin, "_query", query)  # noqa: B010 (mypy)


def completed(word: str) -> list[str] | None:
    """What a word may become, None where Hydra knows: it is neither an option nor a run."""
    key, equals, begun = word.partition("=")
    if not equals:
        return None
    if key in RUNS:
        return [f"{key}={path}" for path in islice(_runs(begun), MOST)]
    if (CONF / key).is_dir() and not key.startswith("hydra"):
        return [f"{key}={name}" for name in sorted(options_of(key)) if name.startswith(begun)]
    return None


def _runs(begun: str) -> Iterator[str]:
    """Folders of runs that begin so, the newest first where nothing is begun."""
    if begun:
        folder, _, name = begun.rpartition("/")
        places = sorted(Path(folder or ".").glob(f"{name}*"))
    else:
        places = [Path(place) for place in PLACES]
    for place in places:
        for found, folders, _ in os.walk(place):
            folders.sort(reverse=True)
            if (Path(found) / CONFIG).is_file():
                folders.clear()
                yield found
