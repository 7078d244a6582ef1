"""What TensorBoard reads back from the events of runs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.util import tensor_util

from runner.reporting import events as event_files
from runner.reporting import hparams
from runner.reporting.canvas import to_png
from runner.reporting.tensorboard import TensorBoardLog


def read(directory: Path) -> EventAccumulator:
    return EventAccumulator(str(directory)).Reload()


def points(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [
        (event.step, tensor_util.make_ndarray(event.tensor_proto).item())
        for event in events.Tensors(tag)
    ]


def tags(events: EventAccumulator) -> set[str]:
    return set(events.Tags()["tensors"])


def session_start(directory: Path) -> Any:
    content = read(directory).SummaryMetadata(metadata.SESSION_START_INFO_TAG)
    return metadata.parse_session_start_info_plugin_data(content.plugin_data.content)


def session_status(directory: Path) -> int:
    content = read(directory).SummaryMetadata(metadata.SESSION_END_INFO_TAG)
    return metadata.parse_session_end_info_plugin_data(content.plugin_data.content).status


def test_scalars_keep_their_steps_and_values(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        log.scalars(10, {"train/loss_bits": 84.0, "train/bit_errors": np.float32(40.5)})
        log.scalars(20, {"train/loss_bits": 0.25})
    events = read(tmp_path)
    assert points(events, "train/loss_bits") == [(10, 84.0), (20, 0.25)]
    assert points(events, "train/bit_errors") == [(10, 40.5)]


def test_cases_write_every_number_of_every_case(tmp_path: Path) -> None:
    results = {
        "length=20": {"bit_errors_per_sequence": 0.5, "accuracy_by_bit": np.ones(8)},
        "length=10,repeats=20": {"bit_accuracy": np.float64(0.75), "optimum": None},
    }
    with TensorBoardLog(tmp_path, 0) as log:
        log.cases(500, results)
    events = read(tmp_path)
    assert tags(events) == {
        "evaluation/length=20/bit_errors_per_sequence",
        "evaluation/length=10,repeats=20/bit_accuracy",
    }
    assert points(events, "evaluation/length=20/bit_errors_per_sequence") == [(500, 0.5)]
    assert points(events, "evaluation/length=10,repeats=20/bit_accuracy") == [(500, 0.75)]


def test_a_resumed_run_goes_on_and_voids_what_was_written_after_its_checkpoint(
    tmp_path: Path,
) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        for step in (100, 200, 300):
            log.scalars(step, {"train/loss_bits": step})
        log.cases(300, {"length=20": {"bit_accuracy": 0.5}})
    with TensorBoardLog(tmp_path, 201) as log:
        for step in (250, 350):
            log.scalars(step, {"train/loss_bits": -step})
    events = read(tmp_path)
    assert points(events, "train/loss_bits") == [(100, 100), (200, 200), (250, -250), (350, -350)]
    assert tags(events) == {"train/loss_bits"}


def test_a_resumed_run_is_read_after_what_it_goes_on_from(tmp_path: Path) -> None:
    """TensorBoard reads by name, where process 999 comes after process 1000 of the same second."""
    with TensorBoardLog(tmp_path, 0) as log:
        log.scalars(100, {"train/loss_bits": 100.0})
    [first] = tmp_path.iterdir()
    first.rename(tmp_path / f"events.out.tfevents.{int(time.time()):010d}.zzz.999.9")
    with TensorBoardLog(tmp_path, 101) as log:
        log.scalars(200, {"train/loss_bits": 200.0})
    assert len(list(tmp_path.iterdir())) == 2
    assert points(read(tmp_path), "train/loss_bits") == [(100, 100.0), (200, 200.0)]


def test_what_comes_after_the_checkpoint_is_cut_from_the_files(tmp_path: Path) -> None:
    """A reader that knows nothing of restarts finds one value a step, too."""
    for first, last in ((0, 40), (31, 60), (51, 70)):
        with TensorBoardLog(tmp_path, first) as log:
            for step in range(max(first, 10) // 10 * 10, last + 1, 10):
                log.scalars(step, {"train/loss_bits": 1000 * first + step})
    found = [
        (value.tag, event.step, tensor_util.make_ndarray(value.tensor).item())
        for path in sorted(tmp_path.glob("events*"))
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]
    expected = [(step, 0) for step in (10, 20, 30)] + [(40, 31), (50, 31), (60, 51), (70, 51)]
    assert found == [("train/loss_bits", step, 1000 * first + step) for step, first in expected]


def test_a_name_has_one_value_at_a_step(tmp_path: Path) -> None:
    """The first: an end that was drawn when the run was killed is not drawn twice."""
    case = {"length=20": {"bit_accuracy": 0.5}}
    with TensorBoardLog(tmp_path, 0) as log:
        log.cases(40, case)
        log.images(40, {"heads": to_png(Figure())})
    with TensorBoardLog(tmp_path, 41) as log:
        log.cases(40, {"length=20": {"bit_accuracy": 0.75, "bit_errors_per_sequence": 40.0}})
        log.images(40, {"heads": to_png(Figure())})
    events = read(tmp_path)
    assert points(events, "evaluation/length=20/bit_accuracy") == [(40, 0.5)]
    assert points(events, "evaluation/length=20/bit_errors_per_sequence") == [(40, 40.0)]
    assert len(events.Tensors("heads")) == 1


def test_what_was_flushed_outlives_the_process(tmp_path: Path) -> None:
    log = TensorBoardLog(tmp_path, 0)
    log.scalars(10, {"train/loss_bits": 1.0})
    log.flush()
    assert points(read(tmp_path), "train/loss_bits") == [(10, 1.0)]
    log.close()


def test_events_before_an_error_are_on_the_disk(tmp_path: Path) -> None:
    def fail() -> None:
        with TensorBoardLog(tmp_path, 0) as log:
            log.scalars(1, {"train/loss_bits": 7.0})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert points(read(tmp_path), "train/loss_bits") == [(1, 7.0)]


def test_text_keeps_the_lines_of_the_configuration(tmp_path: Path) -> None:
    yaml = "seed: 0\nntm:\n  n_width: 128"
    with TensorBoardLog(tmp_path, 0) as log:
        log.text(0, "configuration", yaml)
    (event,) = read(tmp_path).Tensors("configuration")
    text = tensor_util.make_ndarray(event.tensor_proto).item().decode()
    assert text == f"```yaml\n{yaml}\n```"


def test_images_hold_the_figure_and_its_size(tmp_path: Path) -> None:
    figure = Figure(figsize=(3, 2), dpi=100)
    figure.subplots().plot([0, 1])
    with TensorBoardLog(tmp_path, 0) as log:
        log.images(40, {"heads": to_png(figure)})
    (event,) = read(tmp_path).Tensors("heads")
    width, height, png = tensor_util.make_ndarray(event.tensor_proto)
    assert event.step == 40
    assert (int(width), int(height)) == (300, 200)
    assert png == to_png(figure)


def test_histograms_hold_all_finite_numbers(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        log.histograms(40, {"weights/a": np.array([[0.0, 1.0], [1.0, np.inf]], np.float32)})
    (event,) = read(tmp_path).Tensors("weights/a")
    buckets = tensor_util.make_ndarray(event.tensor_proto)  # left edge, right edge, count
    assert (event.step, buckets[:, 2].sum()) == (40, 3)
    assert (buckets[0, 0], buckets[-1, 1], buckets[0, 2]) == (0, 1, 1)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("solved", api_pb2.STATUS_SUCCESS),
        ("finished", api_pb2.STATUS_SUCCESS),
        ("failed", api_pb2.STATUS_FAILURE),
        ("interrupted", api_pb2.STATUS_FAILURE),
        ("stale", api_pb2.STATUS_FAILURE),
    ],
)
def test_the_row_says_how_the_run_ended(tmp_path: Path, status: str, expected: int) -> None:
    hparams.Row(tmp_path, {"seed": 3}).write({"brief/solved": 1.0}, status, 400)
    assert session_status(tmp_path) == expected
    assert points(read(tmp_path), "brief/solved") == [(400, 1)]


def test_the_row_has_typed_values_and_is_of_one_run(tmp_path: Path) -> None:
    values: dict[str, Any] = {"seed": 3, "mode": "train", "rate": 0.003, "stop": False}
    hparams.Row(tmp_path, values).write({}, "finished", 1)
    start = session_start(tmp_path)
    found = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert found == {"seed": 3.0, "mode": "train", "rate": 0.003, "stop": False}
    assert start.hparams["stop"].WhichOneof("kind") == "bool_value"
    assert start.group_name == ""


@pytest.mark.parametrize("status", ["running", "requeued"])
def test_a_run_that_goes_on_is_recorded_without_an_end(tmp_path: Path, status: str) -> None:
    hparams.Row(tmp_path, {"seed": 3}).write({}, status, 0)
    assert session_start(tmp_path).hparams["seed"].number_value == 3.0
    assert metadata.SESSION_END_INFO_TAG not in tags(read(tmp_path))


def test_a_failed_run_that_was_resumed_ends_as_it_ended_last(tmp_path: Path) -> None:
    row = hparams.Row(tmp_path, {"seed": 3})
    for loss, status in ((0.0, "running"), (8.0, "failed"), (0.0, "running"), (0.5, "solved")):
        row.write({"loss": loss} if loss else {}, status, 200)
    assert session_status(tmp_path) == api_pb2.STATUS_SUCCESS
    assert points(read(tmp_path), "loss") == [(200, 0.5)]
    assert len(list(tmp_path.glob("*.hparams"))) == 1


def test_a_row_that_is_the_same_is_not_written_again(tmp_path: Path) -> None:
    """A TensorBoard that runs would read its points twice."""
    for _ in range(2):
        hparams.Row(tmp_path, {"seed": 3}).write({"loss": 8.0}, "failed", 100)
        before = list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == before
    hparams.Row(tmp_path, {"seed": 4}).write({"loss": 8.0}, "failed", 100)
    assert list(tmp_path.iterdir()) != before


def test_an_unknown_status_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'done'.*finished"):
        hparams.Row(tmp_path, {}).write({}, "done", 1)


def test_a_run_on_its_own_has_all_values_that_say_what_it_is() -> None:
    config = {
        "device": "cpu",
        "controller": {"name": "lstm", "units": [100]},
        "ntm": {"read_heads": 4, "read_to_output": True},
        "optimizer": {"learning_rate": np.float32(0.5), "clip_value": None},
        "evaluate": {"cases": ["length=5", "length=10"]},
    }
    assert hparams.of_config(config) == {
        "controller": "lstm",
        "controller.units": "[100]",
        "ntm.read_heads": 4,
        "ntm.read_to_output": True,
        "optimizer.learning_rate": 0.5,
        "evaluate.cases": "[length=5,length=10]",
    }


def test_units_are_text_whether_they_are_a_number_or_a_list() -> None:
    assert hparams.typed({"controller.units": 100}) == {"controller.units": "100"}
    assert hparams.typed({"controller.units": [100]}) == {"controller.units": "[100]"}


def test_a_column_of_a_sweep_has_one_type() -> None:
    """Else TensorBoard fails to sort by it."""
    rows: list[dict[str, Any]] = [{"clip": None, "seed": 0}, {"clip": 1.5, "seed": 1}]
    assert [hparams.in_sweep(row, rows) for row in rows] == [
        {"clip": "null", "seed": 0},
        {"clip": "1.5", "seed": 1},
    ]


def test_what_is_in_brief_comes_first_in_the_alphabet() -> None:
    """TensorBoard ticks the first five metrics; a run that was not solved has no sixth."""
    scores = {"bit_errors_per_sequence": 0.5, "loss_bits_per_sequence": 2.0, "bit_accuracy": 0.9}
    found = hparams.in_brief(scores, False, 3.0, 64, None)
    assert len(found) == 5
    assert sorted([*found, "brief/when solved", "evaluation/a"])[:5] == list(found)
    assert set(hparams.in_brief(scores, True, 3.0, 64, 32)) - set(found) == {"brief/when solved"}


@pytest.mark.parametrize(
    ("run", "label", "expected"),
    [
        ("3", "controller=lstm seed=1", "3/controller=lstm seed=1"),
        ("3", "", "3"),
        ("seed=1,controller=lstm", "controller=lstm seed=1", "seed=1,controller=lstm"),
        ("3", "checkpoint=a/b", "3/checkpoint=a-b"),
    ],
)
def test_the_folder_of_the_events_says_what_sets_a_run_apart(
    run: str, label: str, expected: str, tmp_path: Path
) -> None:
    assert event_files.folder_for(tmp_path / run, label) == tmp_path / expected
    assert (tmp_path / expected).is_dir()


def test_a_run_has_one_folder_of_events_whatever_it_is_called(tmp_path: Path) -> None:
    for label in ("seed=1", "", "controller=lstm seed=1"):
        hparams.Row(event_files.folder_for(tmp_path, label), {"seed": 1}).write({}, "running", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["controller=lstm seed=1"]
    older = tmp_path / "older"
    older.mkdir()
    hparams.Row(older, {"seed": 1}).write({}, "running", 0)
    assert event_files.folder_for(older, "seed=1") == older


def test_a_long_label_is_cut(tmp_path: Path) -> None:
    label = " ".join(f"ntm.perturbation.number_{n}={n}" for n in range(30))
    assert len(event_files.folder_for(tmp_path, label).name.encode()) <= 255
