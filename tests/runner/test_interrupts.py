"""Signals become interrupts, at a moment at which nothing is lost."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from runner.training import interrupts


@pytest.fixture(autouse=True)
def not_ignored() -> Iterator[None]:
    """As in a terminal: a shell without one starts what runs in the background with SIGINT off."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.05)  # Python runs a handler between two of its instructions.


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_signal_ends_what_runs(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupts.as_exceptions():
        send(number)
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_a_held_signal_waits(number: int) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.as_exceptions():
        with interrupts.held():
            send(number)
            done.append("the rest of what was held")
        done.append("what comes after")
    assert done == ["the rest of what was held"]


def test_a_signal_waits_for_the_end_of_all_that_is_held() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.as_exceptions():
        with interrupts.held():
            with interrupts.held():
                send(signal.SIGTERM)
            done.append("the rest of the outer one")
        done.append("what comes after")
    assert done == ["the rest of the outer one"]


def test_a_second_signal_is_ignored() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.as_exceptions():
        try:
            send(signal.SIGTERM)
        finally:
            send(signal.SIGINT)
            send(signal.SIGTERM)


def test_nothing_is_raised_where_no_signal_came() -> None:
    with interrupts.as_exceptions(), interrupts.held():
        pass


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell starts what runs in the background so."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.as_exceptions():
            send(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
