"""TensorBoard events of a run.

Every step is the optimizer's iteration, so that a resumed run goes on where its chart stopped and
runs of different batch sizes or lengths lie on one axis.
"""

from __future__ import annotations

import numbers
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

from runner.reporting import events

FLUSH_SECONDS = 5


class TensorBoardLog:
    """The TensorBoard events of one run, with at most one value of a name at a step.

    What a name has at a step already, from an earlier attempt too, stays and is not written again.
    A context manager: everything written reaches the disk when it is left, by an error too.

    Args:
        directory: of the event files; its name is the run's name in TensorBoard.
        first_step: the first iteration that this process will train: 0, or one more than the
            resumed checkpoint's. Events that an earlier attempt left at this step or later are
            removed.
    """

    def __init__(self, directory: Path, first_step: int) -> None:
        self._directory = Path(directory)
        self._written = events.cut(self._directory, first_step)
        events.wait_for_a_later_name(self._directory)
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
        self._add(Event(step=step, summary=events.scalars_summary(values)))

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

    def histograms(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes the distribution of the numbers of each array."""
        summary = Summary()
        for name, array in values.items():
            finite = array[np.isfinite(array)]
            if finite.size:
                summary.MergeFrom(histogram_pb(name, finite))
        self._add(Event(step=step, summary=summary))
        self._writer.flush()

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


def _image_value(name: str, png: bytes) -> Summary.Value:
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    return Summary.Value(
        tag=name,
        metadata=image_metadata.create_summary_metadata(display_name="", description=""),
        tensor=tensor_util.make_tensor_proto([str(width).encode(), str(height).encode(), png]),
    )
