"""Event files of TensorBoard: which folder a run has them in, and how they are written.

They are written with TensorBoard's own writers, not with `tf.summary`: these can mark the restart
of a run, and work without importing TensorFlow.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.record_writer import RecordWriter

from runner.config import varied
from runner.store.files import make, replace_with

FILES = "events.out.tfevents.*"
OF_A_WHOLE = (".hparams",)  # Endings of event files that are replaced as a whole.


def folder_for(run: Path, label: str) -> Path:
    """The folder of a run's event files, made if need be: what it is called is what one sees.

    TensorBoard names a run by its folder. Beside other runs that is a folder in the run's own,
    called as what sets it apart: `3/controller=lstm seed=1`. One that had another label is renamed.

    label: empty for a run on its own, whose event files lie in its directory.
    """
    there = folder_of(run)
    said = set(label.split()) <= set(run.name.split(","))
    wanted = run if said else run / varied.as_folder(label)
    if there is None:
        make(wanted)
        return wanted
    if there == run or wanted in (run, there):
        return there
    return there.rename(wanted)


def folder_of(run: Path) -> Path | None:
    """The folder of the event files that a run has left; None if there are none."""
    inside = sorted(path for path in run.iterdir() if path.is_dir()) if run.is_dir() else []
    return next((folder for folder in (run, *inside) if any(folder.glob(FILES))), None)


def scalars_summary(values: Mapping[str, float]) -> Summary:
    """One value a name."""
    summary = Summary()
    for name, value in values.items():
        summary.MergeFrom(scalar_pb(name, value))
    return summary


def cut(folder: Path, first_step: int) -> set[tuple[str, int]]:
    """Remove what a run's event files hold at `first_step` or later.

    Returns the name and step of every value that stays.
    """
    kept: set[tuple[str, int]] = set()
    for path in folder.glob(FILES):
        if path.suffix in OF_A_WHOLE:
            continue
        events = list(LegacyEventFileLoader(str(path)).Load())
        before = [event for event in events if event.step < first_step or event.file_version]
        kept.update((value.tag, event.step) for event in before for value in event.summary.value)
        if len(before) < len(events):
            _write(path, before)
    return kept


def wait_for_a_later_name(folder: Path) -> None:
    """Wait, at most a second, until a new event file's name comes after those of this second.

    TensorBoard reads files in the order of their names, and names of one second are in the order of
    their processes' numbers as texts: 1000 before 999. What an earlier attempt wrote would be read
    last and void what this one writes.
    """
    now = time.time()
    if any(folder.glob(FILES.replace("*", f"{int(now):010d}.*"))):
        time.sleep(int(now) + 1 - now)


def replace(folder: Path, suffix: str, mark: str, events: Iterable[Event]) -> None:
    """Write a whole event file, then remove the earlier ones of this suffix.

    Each has a new name: a running TensorBoard goes on reading a file at the place it had reached.
    mark: in the name as well; a file with this mark is left as it is.
    """
    earlier = list(folder.glob(f"{FILES}.{suffix}"))
    if [path for path in earlier if path.name.endswith(f".{mark}.{suffix}")]:
        return
    now = time.time_ns()
    path = folder / (
        # TensorBoard reads files in the order of their names: after the writer's of this second.
        f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}"
        f".t{now % 10**9:09d}.{mark}.{suffix}"
    )
    stamped = [Event(file_version="brain.Event:2"), *events]
    for event in stamped:
        event.wall_time = now / 1e9
    _write(path, stamped)
    for old in earlier:
        old.unlink(missing_ok=True)


def _write(path: Path, events: Iterable[Event]) -> None:
    with replace_with(path) as temporary, open(temporary, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
