"""What the console and the log get from a training."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from runner.reporting import progress
from runner.reporting.progress import Progress
from runner.reporting.results_text import breakdown_text, print_results
from runner.training.evaluate import breakdown

CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
RESULTS: dict[str, dict[str, Any]] = {
    "length=20": {
        "bit_errors_per_sequence": 0.0,
        "bit_accuracy": 1.0,
        "sequences_correct": 1.0,
        "loss_bits_per_sequence": 0.0123,
    },
    "length=120": {
        "bit_errors_per_sequence": 1.25,
        "bit_accuracy": 0.999999,
        "sequences_correct": 0.5,
        "loss_bits_per_sequence": 3.5,
        "marker_errors": 0.25,
    },
}


def plain_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def terminal_console(width: int = 80) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, legacy_windows=False,
        _environ={"TERM": "xterm-256color"},
    )  # fmt: skip


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def errors(**cases: float) -> dict[str, dict[str, float]]:
    return {case: {"bit_errors_per_sequence": value} for case, value in cases.items()}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as one changeable number."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


@contextmanager
def stdout_handler() -> Iterator[logging.StreamHandler[Any]]:
    """A root handler that writes as Hydra's does: to what was `sys.stdout` at its making."""
    handler = logging.StreamHandler(sys.stdout)
    logging.root.addHandler(handler)
    yield handler
    logging.root.removeHandler(handler)


def test_redirected_output_gets_a_line_at_every_twentieth(
    log: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    console = plain_console()
    with Progress(1000, verbose=False, console=console) as shown:
        for step in range(10, 1001, 10):
            shown.update(step, 800.0, 84.0, 40.0)
    steps = [int(re.findall(r"step (\d+)/1000", line)[0]) for line in log.messages]
    assert steps == [*range(10, 1000, 50), 1000]
    assert written(console) == ""
    assert not CONTROL.search("".join(log.messages))


def test_redirected_output_gets_a_line_every_minute_of_a_long_run(
    log: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    with Progress(1_000_000, verbose=False, console=plain_console()) as shown:
        for step in range(1, 13):
            clock[0] += 15.0
            shown.update(step, 800.0, 84.0, 40.0)
    assert len(log.messages) == 3  # at 15, 75 and 135 seconds


def test_a_line_has_speed_loss_errors_best_and_time_left(
    log: pytest.LogCaptureFixture, clock: list[float]
) -> None:
    with Progress(40_000, verbose=False, console=plain_console()) as shown:
        clock[0] = 100.0  # the compilation, which says nothing about the time left
        shown.update(100, 5821.4, 84.04, 41.96)
        shown.evaluated(100, errors(a=7.5))
        clock[0] = 130.0
        shown.update(10_100, 6000.0, 0.012345, 0.0)
    first, _, last = log.messages
    assert first == "step 100/40000, 5,821 seq/s, loss 84, bit errors 42"
    # 10,000 steps took 30 seconds, so the 29,900 that are left take 89.7.
    assert last == ("step 10100/40000, 6,000 seq/s, loss 0.012, bit errors 0, best 7.5, 1:30 left")


def test_a_terminal_gets_one_live_line_and_no_log_lines(log: pytest.LogCaptureFixture) -> None:
    console = terminal_console()
    with Progress(1000, verbose=False, console=console) as shown:
        shown.update(500, 800.0, 84.0, 40.0)
        assert shown._live is not None
        shown._live.refresh()
    output = written(console)
    assert "500/1000  800 seq/s  loss 84  bit errors 40" in output
    assert CONTROL.search(output)
    assert log.messages == []


def test_the_live_line_fits_eighty_columns(log: pytest.LogCaptureFixture) -> None:
    console = terminal_console(width=80)
    with Progress(400_000, verbose=False, console=console) as shown:
        shown.evaluated(100, errors(a=0.0123))
        shown.update(100, 15821.0, 0.0123, 0.0123)
        shown.update(100_100, 15821.0, 0.0123, 0.0123)
        assert shown._live is not None
        shown._live.refresh()
    assert "bit errors 0.012  best 0.012  0:00 left" in written(console)


def test_log_lines_go_above_the_live_line(
    log: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    console = terminal_console()
    elsewhere = logging.getLogger("another module")
    with stdout_handler():
        with Progress(1000, verbose=False, console=console):
            elsewhere.info("during the training")
        elsewhere.info("after the training")
    assert "during the training" in written(console)
    assert "after the training" not in written(console)
    assert capsys.readouterr().out == "after the training\n"


def test_an_error_gives_the_console_back() -> None:
    stdout = sys.stdout
    shown = Progress(9, verbose=False, console=terminal_console())
    with stdout_handler() as handler:
        with pytest.raises(KeyboardInterrupt), shown:
            raise KeyboardInterrupt
        assert sys.stdout is stdout
        assert handler.stream is stdout


def test_best_is_the_lowest_of_the_deciding_case() -> None:
    with Progress(100, verbose=False, console=plain_console(), case="b") as shown:
        shown.evaluated(10, errors(a=1.0, b=3.0))
        shown.evaluated(20, errors(a=0.5, b=2.0))
        shown.evaluated(30, errors(a=0.0, b=2.5))
        shown.evaluated(40, errors(a=0.0))
    assert shown.best == 2.0


def test_best_without_a_case_follows_the_first_one_evaluated() -> None:
    with Progress(100, verbose=False, console=plain_console()) as shown:
        shown.evaluated(10, errors(b=3.0))
        shown.evaluated(20, errors(a=1.0, b=4.0))
    assert shown.best == 3.0


def test_an_evaluation_names_every_case(log: pytest.LogCaptureFixture) -> None:
    with Progress(100, verbose=False, console=plain_console()) as shown:
        shown.evaluated(50, RESULTS)
    assert log.messages == ["step 50, bit errors a sequence: length=20 0, length=120 1.25"]


def test_verbose_lists_bits_and_positions(log: pytest.LogCaptureFixture) -> None:
    targets = np.zeros((2, 5, 3))
    arrays = breakdown(targets, targets, np.ones_like(targets))
    results = {"length=5": {"bit_errors_per_sequence": 0.0, **arrays}}
    for verbose, expected in ((False, 1), (True, 2)):
        log.clear()
        with Progress(100, verbose=verbose, console=plain_console()) as shown:
            shown.evaluated(50, results)
        assert len(log.messages) == expected
    assert log.messages[1] == breakdown_text("length=5", arrays)


def test_breakdown_counts_right_bits_by_output_and_by_position() -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 2, (6, 9, 4)).astype(float)
    probabilities = rng.random((6, 9, 4))
    weights = np.zeros((6, 9, 4))
    weights[:, 3:8, :3] = 1  # steps 3 to 7 count, and the last output never does
    arrays = breakdown(targets, probabilities, weights)
    for bit in range(3):
        right = [
            (probabilities[b, t, bit] > 0.5) == bool(targets[b, t, bit])
            for b in range(6)
            for t in range(3, 8)
        ]
        assert arrays["accuracy_by_bit"][bit] == pytest.approx(np.mean(right))
    assert np.isnan(arrays["accuracy_by_bit"][3])
    assert arrays["accuracy_by_position"].shape == (5,)
    for position in range(5):
        right = [
            (probabilities[b, 3 + position, bit] > 0.5) == bool(targets[b, 3 + position, bit])
            for b in range(6)
            for bit in range(3)
        ]
        assert arrays["accuracy_by_position"][position] == pytest.approx(np.mean(right))


def test_breakdown_text_numbers_its_values_and_averages_very_long_sequences() -> None:
    short = {
        "accuracy_by_bit": np.array([1.0, 0.9999, np.nan]),
        "accuracy_by_position": np.linspace(0, 1, 12),
    }
    lines = breakdown_text("length=12", short).split("\n")
    assert lines[0] == "length=12: percent right by output bit"
    assert lines[1].split() == ["1-3", "100", "99.9", "-"]
    assert [line.split()[0] for line in lines[3:]] == ["1-10", "11-12"]
    long = {"accuracy_by_bit": np.ones(8), "accuracy_by_position": np.arange(240) % 2 / 1.0}
    lines = breakdown_text("length=240", long).split("\n")[3:]
    assert [line.split()[0] for line in lines] == [f"{n + 1}-{n + 20}" for n in range(0, 240, 20)]
    assert {value for line in lines for value in line.split()[1:]} == {"50.0"}


def test_results_are_a_table_of_the_cases() -> None:
    console = plain_console()
    print_results(RESULTS, "copy, double_dense", console)
    lines = written(console).splitlines()
    assert lines[0] == "copy, double_dense"
    header = " ".join(lines[2:4])
    for word in ("case", "bit errors", "a sequence", "bits", "sequences", "loss, bits", "marker"):
        assert word in header
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[5:-1]]
    assert rows == [
        ["length=20", "0", "100 %", "100 %", "0.0123", "-"],
        # 99.9999 % is not faultless, so it is not rounded up to 100.
        ["length=120", "1.25", "99.99 %", "50.00 %", "3.5", "0.25"],
    ]
    assert written(console).isascii()
    assert not CONTROL.search(written(console))


def test_scores_of_a_task_have_headings_of_several_short_lines() -> None:
    console = plain_console()
    scores = {"excess_bits_per_sequence": 1.0, "loss_bits_after_context_per_sequence": 2.0}
    print_results({"length=200": scores}, "ngrams", console)
    table = [line.split("|") for line in written(console).splitlines() if "|" in line]
    headings = [[line[column].strip() for line in table[:3]] for column in (2, 3)]
    assert headings == [
        ["", "excess bits", "a sequence"], ["loss bits", "after context", "a sequence"],
    ]  # fmt: skip


def test_a_wide_table_is_not_cut_when_redirected() -> None:
    console = plain_console()
    extras = {f"a_metric_with_a_long_name_{index}": 1.0 for index in range(8)}
    print_results({"length=10,repeats=20": extras}, "repeat copy", console)
    lines = written(console).splitlines()
    header = next(line for line in lines if "case" in line)
    assert all(name.replace("_", " ") in header for name in extras)
    assert len({len(line) for line in lines[1:]}) == 1


def test_arrays_of_a_breakdown_are_no_columns() -> None:
    console = plain_console()
    summary = {"bit_accuracy": 0.5, "accuracy_by_bit": np.ones(8)}
    print_results({"length=5": summary}, "copy", console)
    assert "accuracy by bit" not in written(console)
