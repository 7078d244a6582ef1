"""The row of a run on TensorBoard's HParams page: what sets it apart, and what it came to.

TensorBoard takes the page's columns from the rows of all runs that it shows, of one sweep or of
several: there is no record of the columns, since of several it would follow one alone. It ticks
the first five values and the first five metrics, in the order of the alphabet; those in
`brief/` are named so that they are these.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata

from runner.config import varied
from runner.reporting import events

HParam = bool | int | float | str

# What TensorBoard says of a run with this `status.json`; None: not ended, so no end is recorded.
STATUS: dict[str, int | None] = {
    "running": None,
    "requeued": None,
    "solved": api_pb2.STATUS_SUCCESS,
    "finished": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_FAILURE,
    "pruned": api_pb2.STATUS_FAILURE,
    "stale": api_pb2.STATUS_FAILURE,
}
SUFFIX = "hparams"
BRIEF = "brief"
# Keys that hold a number for one choice of a group and a list for another: always text, because
# TensorBoard fails to sort or filter by a name of two types.
TEXT_KEYS = ("units",)


class Row(NamedTuple):
    """The row of one run.

    folder: of the run's event files.
    values: the columns that tell runs from each other, see `of_config` and `in_sweep`.
    """

    folder: Path
    values: Mapping[str, HParam]

    def write(self, metrics: Mapping[str, float], status: str, step: int) -> None:
        """Write the row in place of an earlier one; one that is the same stays.

        It has an event file of its own, because TensorBoard keeps the first end of a session that
        it finds: a run that failed and was resumed would stay failed.

        Args:
            metrics: what the run has come to at its end, see `in_brief`.
            status: as in `status.json`, or `stale`.
            step: the optimizer's iteration of the metrics.
        """
        if status not in STATUS:
            raise ValueError(f"status={status!r} is not one of {', '.join(STATUS)}")
        written = [Event(step=0, summary=_start(self.values))]
        if metrics:
            written.append(Event(step=step, summary=events.scalars_summary(metrics)))
        if STATUS[status] is not None:
            written.append(Event(step=0, summary=_end(status)))
        said = json.dumps([dict(self.values), dict(metrics), status], sort_keys=True)
        mark = hashlib.sha256(said.encode()).hexdigest()[:8]
        events.replace(self.folder, SUFFIX, mark, written)


def in_brief(
    scores: Mapping[str, Any], solved: bool, seconds: float, sequences: int, solved_at: int | None
) -> dict[str, float]:
    """The metrics that the page shows first, which every run has that was evaluated once.

    scores: of the task's deciding case, a sequence; solved_at: sequences, None if never.
    """
    found = {
        "bit errors": scores.get("bit_errors_per_sequence"),
        "loss bits": scores.get("loss_bits_per_sequence"),
        "solved": float(solved),
        "time, s": seconds,
        "total sequences": sequences,
        "when solved": solved_at,
    }
    return {f"{BRIEF}/{name}": float(v) for name, v in found.items() if v is not None}


def of_config(config: Mapping[str, Any]) -> dict[str, HParam]:
    """All values of a run on its own, of which nobody knows what it will be compared with."""
    values = varied.values(config)
    return typed({key: value for key, value in values.items() if key not in varied.NO_MATTER})


def in_sweep(values: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> dict[str, HParam]:
    """What sets a job apart from the others of its sweep, whose values give each column a type."""
    kinds: dict[str, set[str]] = {}
    for row in (values, *others):
        for key, value in row.items():
            kinds.setdefault(key, set()).add(_kind(value))
    return typed(values, as_text=[key for key, found in kinds.items() if len(found) > 1])


def typed(values: Mapping[str, Any], as_text: Collection[str] = ()) -> dict[str, HParam]:
    """Values in the four types of HParams: a list becomes text, null too if its column is text.

    Any other null is left out, an empty cell: as text it would give the name two types as soon as
    another run has a number there.
    """
    found: dict[str, HParam] = {}
    for key, value in values.items():
        plain = value.item() if isinstance(value, np.generic) else value
        if key in as_text or key.rpartition(".")[2] in TEXT_KEYS:
            found[key] = varied.shown(plain)
        elif plain is not None:
            is_plain = isinstance(plain, bool | int | float | str)
            found[key] = plain if is_plain else varied.shown(plain)
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "text"


def _start(values: Mapping[str, HParam]) -> Summary:
    # Without a group name every run is a row of its own, under the run's name. Grouped by their
    # other values, seeds would share a row: one mean over solved and failed runs, one run's seed.
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
    for name, value in values.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    data = plugin_data_pb2.HParamsPluginData(session_start_info=info)
    return _summary(hparams_metadata.SESSION_START_INFO_TAG, data)


def _end(status: str) -> Summary:
    info = plugin_data_pb2.SessionEndInfo(status=STATUS[status], end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    return _summary(hparams_metadata.SESSION_END_INFO_TAG, data)


def _summary(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Summary:
    summary = Summary()
    summary.value.add(
        tag=tag,
        metadata=hparams_metadata.create_summary_metadata(data),
        tensor=hparams_metadata.NULL_TENSOR,
    )
    return summary
