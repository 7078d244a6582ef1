"""What a run's directory says of its state, however it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from runner.config import machine, saved
from runner.errors import ConfigError, PrunedError, RunError
from runner.store import checkpoint
from runner.store.checkpoint import CHECKPOINTS
from runner.store.files import STATUS, as_override, make, write_json

log = logging.getLogger(__name__)


def write_status(directory: Path, status: str, error: str | None = None) -> None:
    """Say in a run's directory how it stands, and what has ended it."""
    write_json(directory / STATUS, {"status": status, "error": error})


@contextmanager
def recorded(config: Any, directory: Path) -> Iterator[Callable[[], None]]:
    """Record how a run ends that does not finish, then let its error through.

    Yields what to call when the run begins. A run that is refused before leaves no record, but a
    job of a sweep does, for its table.
    """
    begun = False

    def begin() -> None:
        nonlocal begun
        make(directory, *machine.FOLDERS)
        saved.write_config(config, directory)
        write_status(directory, "running")
        begun = True

    try:
        yield begin
    except BaseException as error:
        if begun or not isinstance(error, ConfigError) or _in_a_sweep():
            _record_end(directory, error)
        raise


def _record_end(directory: Path, error: BaseException) -> None:
    status = status_after(error)
    reason = _how_to_go_on(directory) if status == "interrupted" else str(error)
    with suppress(OSError):  # The disk may be full, or the directory gone.
        write_status(directory, status, f"{type(error).__name__}: {reason}")
    # Hydra reports only the first failure of a sweep, and not in the job's own log.
    level = logging.INFO if status == "pruned" else logging.ERROR
    log.log(level, "%s: %s", status, reason, exc_info=_is_bug(error))


def _in_a_sweep() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def status_after(error: BaseException) -> str:
    """The status of a run that this error has ended."""
    if isinstance(error, PrunedError):
        return "pruned"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def _how_to_go_on(directory: Path) -> str:
    """What works after an interrupt."""
    try:
        kept = checkpoint.latest(directory / CHECKPOINTS, quiet=True)
    except ConfigError:
        kept = None
    if kept is not None:
        step = checkpoint.step_of(kept)
        return f"go on from step {step} with {as_override('resume', directory)}"
    return "nothing was trained yet that could be gone on with: start it again"


def _is_bug(error: BaseException) -> bool:
    return not isinstance(error, KeyboardInterrupt | ConfigError | PrunedError | RunError)
