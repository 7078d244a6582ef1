"""Notices of native code are held back, unless something went wrong."""

import os

import pytest

from runner import quiet


def write() -> None:
    os.write(2, b"a notice\n")


def test_notices_are_held_back(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet.native_notices():
        write()
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def failing() -> None:
    with quiet.native_notices():
        write()
        raise ImportError("no such library")


def test_they_are_shown_when_the_import_fails(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(ImportError):
        failing()
    assert capfd.readouterr().err == "a notice\n"


def test_they_are_shown_when_asked_for(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet.native_notices():
        write()
        assert capfd.readouterr().err == "a notice\n"
