"""TensorBoard events of a run and of a sweep.

The events are written with TensorBoard's own writers, not with `tf.summary`: these can mark the
restart of a run, and a sweep's root gets its record without importing TensorFlow.

Every step is the optimizer's iteration, so that a resumed run goes on where its chart stopped and
runs of different batch sizes or lengths lie on one axis.
"""

import json
import numbers
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from runner.store.files import replace_with

HParam = bool | int | float | str

# What TensorBoard says of a run with this `status.json`; None: not ended, so no end is recorded.
SESSION_STATUS: dict[str, int | None] = {
    "running": None,
    "solved": api_pb2.STATUS_SUCCESS,
    "finished": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_FAILURE,
}
FLUSH_SECONDS = 5
# Endings of event files that are replaced as a whole.
OF_A_WHOLE = (".hparams", ".hparams_config")
# Keys that hold a number for one choice of a group and a list for another: always text, because
# TensorBoard fails to sort or filter by a name of two types.
TEXT_KEYS = ("units",)


class TensorBoardLog:
    """The TensorBoard events of one run, with at most one value of a name at a step.

    What a name has at a step already, from an earlier attempt too, stays and is not written again.
    A context manager: everything written reaches the disk when it is left, by an error too.

    Args:
        directory: the run's directory; its name is the run's name in TensorBoard.
        first_step: the first iteration that this process will train: 0, or one more than the
            resumed checkpoint's. Events that an earlier attempt left at this step or later are
            removed.
    """

    def __init__(self, directory: Path, first_step: int) -> None:
        self._directory = Path(directory)
        self._start_seconds = time.time()
        self._written = _cut(self._directory, first_step)
        # For a TensorBoard that has read what was cut.
        self._writer = EventFileWriter(str(directory), flush_secs=FLUSH_SECONDS)
        start = Event(step=first_step, session_log=SessionLog(status=SessionLog.START))
        self._add(start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Writes one point a name, such as `train/loss_bits`."""
        self._add(Event(step=step, summary=_scalars_summary(values)))

    def cases(self, step: int, results: Mapping[str, Mapping[str, Any]]) -> None:
        """Writes every number of every case, as `evaluation/<case>/<metric>`."""
        values = {
            f"evaluation/{case}/{metric}": float(value)
            for case, summary in results.items()
            for metric, value in summary.items()
            if isinstance(value, numbers.Real)
        }
        self.scalars(step, values)

    def text(self, step: int, name: str, yaml: str) -> None:
        """Writes a configuration, shown with its line breaks and indentation."""
        self._add(Event(step=step, summary=text_pb(name, f"```yaml\n{yaml}\n```")))

    def images(self, step: int, pngs: Mapping[str, bytes]) -> None:
        """Writes figures, each the bytes of a PNG file, such as `sample` or `heads`."""
        summary = Summary()
        for name, png in pngs.items():
            summary.value.append(_image_value(name, png))
        self._add(Event(step=step, summary=summary))
        self._writer.flush()

    def hparams(
        self,
        config: Mapping[str, Any],
        metrics: Mapping[str, float | None],
        status: str,
        step: int,
    ) -> None:
        """Writes the run's record for the HParams page, in place of an earlier one.

        Call it when the run starts, with status `running`, and when it ends, however it ends. The
        record has an event file of its own, because TensorBoard keeps the first end of a session
        that it finds: a run that failed and was resumed would stay failed.

        Args:
            config: the configuration, nested; see `flatten`.
            metrics: results of the run as a whole, written as `result/<name>`; None is left out.
            status: as in `status.json`.
            step: the optimizer's iteration of the metrics.
        """
        values = flatten(config)
        events = [Event(step=0, summary=_session_start(values, self._start_seconds))]
        if _session_status(status) is not None:
            outcome = {"failed": float(status in ("failed", "interrupted"))} | {
                name: value for name, value in metrics.items() if value is not None
            }
            scalars = {f"result/{name}": value for name, value in outcome.items()}
            events.append(Event(step=step, summary=_scalars_summary(scalars)))
            events.append(Event(step=0, summary=_session_end(status)))
        _replace_events(self._directory, "hparams", events)

    def flush(self) -> None:
        """Waits until everything written so far is on the disk."""
        self._writer.flush()

    def close(self) -> None:
        """Flushes and closes the file; a second call does nothing."""
        self._writer.close()

    def _add(self, event: Event) -> None:
        values = [value for value in event.summary.value if self._is_new(value.tag, event.step)]
        if event.HasField("summary"):
            if not values:
                return
            event.summary.ClearField("value")
            event.summary.value.extend(values)
        event.wall_time = time.time()
        self._writer.add_event(event)

    def _is_new(self, tag: str, step: int) -> bool:
        new = (tag, step) not in self._written
        self._written.add((tag, step))
        return new


def sweep_hparams_config(
    directory: Path, configs: Sequence[Mapping[str, Any]], metrics: Sequence[str]
) -> None:
    """Writes at a sweep's root which columns its HParams page has, in place of an earlier record.

    Without it TensorBoard takes the columns from the runs that it has read so far. Values that
    differ between the runs come first.

    Args:
        directory: the sweep's directory, whose sub-directories are the runs.
        configs: one nested configuration a run.
        metrics: the scalars to show, by their full names, such as
            `evaluation/length=20/bit_errors_per_sequence` or `result/failed`.
    """
    flat = [flatten(config) for config in configs]
    names = sorted({name for values in flat for name in values})
    infos = [_hparam_info(name, [values.get(name) for values in flat]) for name in names]
    infos.sort(key=lambda info: not info.differs)
    experiment = api_pb2.Experiment(
        hparam_infos=infos,
        metric_infos=[_metric_info(tag) for tag in metrics],
        time_created_secs=time.time(),
    )
    data = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    summary = _hparams_summary(hparams_metadata.EXPERIMENT_TAG, data)
    _replace_events(Path(directory), "hparams_config", [Event(step=0, summary=summary)])


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, HParam]:
    """Nested values under dotted names, such as `ntm.read_heads`, in HParams' four types.

    Lists become strings. None is left out, an empty cell in TensorBoard's table: as a string it
    would give the name two types as soon as another run has a number there.
    """
    flat: dict[str, HParam] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif value is not None:
            flat[f"{prefix}{key}"] = str(value) if key in TEXT_KEYS else _plain(value)
    return flat


def _plain(value: Any) -> HParam:
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)


def _session_status(status: str) -> int | None:
    if status not in SESSION_STATUS:
        raise ValueError(f"status={status!r} is not one of {', '.join(SESSION_STATUS)}")
    return SESSION_STATUS[status]


def _session_start(values: Mapping[str, HParam], start_seconds: float) -> Summary:
    # Without a group name every run is a row of its own, under the run's name. Grouped by their
    # other values, seeds would share a row: one mean over solved and failed runs, one run's seed.
    info = plugin_data_pb2.SessionStartInfo(start_time_secs=start_seconds)
    for name, value in values.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = value
        else:
            info.hparams[name].number_value = value
    data = plugin_data_pb2.HParamsPluginData(session_start_info=info)
    return _hparams_summary(hparams_metadata.SESSION_START_INFO_TAG, data)


def _session_end(status: str) -> Summary:
    info = plugin_data_pb2.SessionEndInfo(status=_session_status(status), end_time_secs=time.time())
    data = plugin_data_pb2.HParamsPluginData(session_end_info=info)
    return _hparams_summary(hparams_metadata.SESSION_END_INFO_TAG, data)


def _hparams_summary(tag: str, data: plugin_data_pb2.HParamsPluginData) -> Summary:
    summary = Summary()
    summary.value.add(
        tag=tag,
        metadata=hparams_metadata.create_summary_metadata(data),
        tensor=hparams_metadata.NULL_TENSOR,
    )
    return summary


def _hparam_info(name: str, values: Sequence[HParam | None]) -> api_pb2.HParamInfo:
    given = [value for value in values if value is not None]
    differs = len({json.dumps(value) for value in values}) > 1
    info = api_pb2.HParamInfo(name=name, differs=differs)
    if all(isinstance(value, bool) for value in given):
        info.type = api_pb2.DATA_TYPE_BOOL
        info.domain_discrete.extend(sorted(set(given)))
    elif all(isinstance(value, numbers.Real) for value in given):
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.min_value = min(given)
        info.domain_interval.max_value = max(given)
    else:
        info.type = api_pb2.DATA_TYPE_STRING
        info.domain_discrete.extend(sorted({str(value) for value in given}))
    return info


def _metric_info(tag: str) -> api_pb2.MetricInfo:
    """A column whose heading is the tag without its group, in words that can be wrapped."""
    heading = tag.split("/", 1)[-1].replace("/", " ").replace("_", " ")
    return api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=heading)


def _scalars_summary(values: Mapping[str, float]) -> Summary:
    summary = Summary()
    for name, value in values.items():
        summary.MergeFrom(scalar_pb(name, value))
    return summary


def _image_value(name: str, png: bytes) -> Summary.Value:
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    return Summary.Value(
        tag=name,
        metadata=image_metadata.create_summary_metadata(display_name="", description=""),
        tensor=tensor_util.make_tensor_proto([str(width).encode(), str(height).encode(), png]),
    )


def _cut(directory: Path, first_step: int) -> set[tuple[str, int]]:
    """Removes what a run's event files hold at `first_step` or later.

    Returns the name and step of every value that stays.
    """
    kept: set[tuple[str, int]] = set()
    for path in directory.glob("events.out.tfevents.*"):
        if path.suffix in OF_A_WHOLE:
            continue
        events = list(LegacyEventFileLoader(str(path)).Load())
        before = [event for event in events if event.step < first_step or event.file_version]
        kept.update((value.tag, event.step) for event in before for value in event.summary.value)
        if len(before) < len(events):
            _write_events(path, before)
    return kept


def _write_events(path: Path, events: Iterable[Event]) -> None:
    with replace_with(path) as temporary, open(temporary, "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())


def _replace_events(directory: Path, suffix: str, events: Iterable[Event]) -> None:
    """Writes a whole event file, then removes the earlier ones of this suffix.

    Each has a new name: a running TensorBoard goes on reading a file at the place it had reached.
    """
    now = time.time_ns()
    path = directory / (
        # TensorBoard reads files in the order of their names: after the writer's of this second.
        f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}"
        f".t{now % 10**9:09d}.{suffix}"
    )
    earlier = list(directory.glob(f"events.out.tfevents.*.{suffix}"))
    first = Event(file_version="brain.Event:2")
    stamped = [first, *events]
    for event in stamped:
        event.wall_time = now / 1e9
    _write_events(path, stamped)
    for old in earlier:
        old.unlink(missing_ok=True)
