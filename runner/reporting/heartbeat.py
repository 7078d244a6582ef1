"""What a job of a sweep tells the table of all jobs, which another process draws."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from runner.config import jobs
from runner.errors import ConfigError
from runner.store.files import read_json, write_json

NAME = ".progress.json"
SECONDS = 0.5  # between two messages at least


class Heartbeat:
    """Writes how a training goes where a table of its sweep is drawn; else does nothing."""

    def __init__(self) -> None:
        drawn = jobs.in_table() and jobs.label() is not None
        self._path = Path(HydraConfig.get().runtime.output_dir) / NAME if drawn else None
        self._last = -SECONDS

    def tell(self, **values: Any) -> None:
        """Say where a training is, unless that was done a moment ago."""
        now = time.monotonic()
        if self._path is not None and now - self._last >= SECONDS:
            self._last = now
            with suppress(OSError):
                write_json(self._path, values)

    def end(self) -> None:
        """Leave nothing behind."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def read(directory: Path) -> dict[str, Any]:
    """The last message of the job in a directory; empty if there is none."""
    try:
        found = read_json(directory / NAME)
    except ConfigError:
        return {}
    return found if isinstance(found, dict) else {}
