"""Imports: notices are held back unless something went wrong, and nothing is collected."""

import gc
import os
import subprocess
import sys

import pytest

from runner.config import startup


def write() -> None:
    os.write(2, b"a notice\n")


def test_notices_are_held_back(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with startup.native_notices():
        write()
    os.write(2, b"later\n")
    assert capfd.readouterr().err == "later\n"


def failing() -> None:
    with startup.native_notices():
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
    with startup.native_notices():
        write()
        assert capfd.readouterr().err == "a notice\n"


def test_the_first_import_of_a_process_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    gc.unfreeze()
    with startup.no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0


def test_what_a_later_job_leaves_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    frozen = gc.get_freeze_count()
    with startup.no_collection():
        assert gc.isenabled()
    assert gc.get_freeze_count() == frozen


def test_no_notebook_chooses_a_backend_of_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras imports pyplot, which loads the backend that the environment names."""
    monkeypatch.setenv("MPLBACKEND", "module://no_such_module")
    startup.figures_to_files()
    script = "import matplotlib.pyplot as plt; print(plt.get_backend())"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "agg\n"
