"""What TensorBoard reads back from the events of runs and sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.util import tensor_util

from runner.reporting.canvas import to_png
from runner.reporting.tensorboard import TensorBoardLog, flatten, sweep_hparams_config

CONFIG: dict[str, Any] = {"seed": 3, "ntm": {"read_heads": 2}, "trainer": {"shards": None}}


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


def experiment(directory: Path) -> Any:
    content = read(directory).SummaryMetadata(metadata.EXPERIMENT_TAG)
    return metadata.parse_experiment_plugin_data(content.plugin_data.content)


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


@pytest.mark.parametrize(
    ("status", "expected", "failed"),
    [
        ("solved", api_pb2.STATUS_SUCCESS, 0.0),
        ("finished", api_pb2.STATUS_SUCCESS, 0.0),
        ("failed", api_pb2.STATUS_FAILURE, 1.0),
        ("interrupted", api_pb2.STATUS_FAILURE, 1.0),
    ],
)
def test_the_hparams_record_says_how_the_run_ended(
    tmp_path: Path, status: str, expected: int, failed: float
) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        log.hparams(CONFIG, {"solved_at_sequences": None, "parameters": 3100}, status, 400)
    assert session_status(tmp_path) == expected
    events = read(tmp_path)
    assert points(events, "result/failed") == [(400, failed)]
    assert points(events, "result/parameters") == [(400, 3100)]
    assert "result/solved_at_sequences" not in tags(events)


def test_the_hparams_record_has_the_values_and_makes_a_row_of_every_run(tmp_path: Path) -> None:
    config = CONFIG | {"mode": "train", "rate": 0.003, "stop": False}
    with TensorBoardLog(tmp_path, 0) as log:
        log.hparams(config, {}, "finished", 1)
    start = session_start(tmp_path)
    values = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    assert values == {
        "seed": 3.0, "ntm.read_heads": 2.0, "mode": "train", "rate": 0.003, "stop": False,
    }  # fmt: skip
    assert start.hparams["stop"].WhichOneof("kind") == "bool_value"
    assert start.group_name == ""


def test_a_running_run_is_recorded_without_an_end(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        log.hparams(CONFIG, {}, "running", 0)
    assert session_start(tmp_path).hparams["seed"].number_value == 3.0
    assert metadata.SESSION_END_INFO_TAG not in tags(read(tmp_path))


def test_a_failed_run_that_was_resumed_ends_as_it_ended_last(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, 0) as log:
        log.hparams(CONFIG, {}, "running", 0)
        log.hparams(CONFIG, {"loss": 8.0}, "failed", 100)
    with TensorBoardLog(tmp_path, 51) as log:
        log.hparams(CONFIG, {}, "running", 51)
        log.hparams(CONFIG, {"loss": 0.5}, "solved", 200)
    assert session_status(tmp_path) == api_pb2.STATUS_SUCCESS
    assert points(read(tmp_path), "result/loss") == [(200, 0.5)]
    assert len(list(tmp_path.glob("*.hparams"))) == 1


def test_an_unknown_status_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, 0) as log, pytest.raises(ValueError, match=r"'done'.*finished"):
        log.hparams(CONFIG, {}, "done", 1)


def test_flatten_gives_dotted_names_of_four_types() -> None:
    config = {
        "ntm": {"read_heads": 4, "read_to_output": True},
        "optimizer": {"learning_rate": np.float32(0.5), "clip_value": None},
        "evaluate": {"cases": ["length=5", "length=10"]},
    }
    assert flatten(config) == {
        "ntm.read_heads": 4,
        "ntm.read_to_output": True,
        "optimizer.learning_rate": 0.5,
        "evaluate.cases": "['length=5', 'length=10']",
    }


def test_units_are_text_whether_they_are_a_number_or_a_list() -> None:
    assert flatten({"controller": {"units": 100}}) == {"controller.units": "100"}
    assert flatten({"controller": {"units": [100]}}) == {"controller.units": "[100]"}


def test_a_sweep_declares_all_columns_those_that_differ_first(tmp_path: Path) -> None:
    configs = [
        {"seed": 0, "bits": 8, "controller": {"name": "dense"}, "stop": False},
        {"seed": 1, "bits": 8, "controller": {"name": "lstm", "units": [100]}, "stop": False},
    ]
    sweep_hparams_config(tmp_path, configs, ["evaluation/length=20/bit_accuracy", "result/failed"])
    record = experiment(tmp_path)
    infos = {info.name: info for info in record.hparam_infos}
    assert [info.name for info in record.hparam_infos] == [
        "controller.name", "controller.units", "seed", "bits", "stop",
    ]  # fmt: skip
    assert [info.differs for info in record.hparam_infos] == [True, True, True, False, False]
    assert list(infos["controller.name"].domain_discrete) == ["dense", "lstm"]
    assert infos["seed"].type == api_pb2.DATA_TYPE_FLOAT64
    assert (infos["seed"].domain_interval.min_value, infos["seed"].domain_interval.max_value) == (
        0,
        1,
    )
    assert infos["stop"].type == api_pb2.DATA_TYPE_BOOL
    columns = [(metric.name.tag, metric.display_name) for metric in record.metric_infos]
    assert columns == [
        ("evaluation/length=20/bit_accuracy", "length=20 bit accuracy"),
        ("result/failed", "failed"),
    ]


def test_a_sweep_recorded_again_has_one_record(tmp_path: Path) -> None:
    sweep_hparams_config(tmp_path, [{"seed": 0}], ["result/failed"])
    sweep_hparams_config(tmp_path, [{"seed": 0}, {"seed": 7}], ["result/failed"])
    (info,) = experiment(tmp_path).hparam_infos
    assert info.domain_interval.max_value == 7
    assert len(list(tmp_path.iterdir())) == 1
