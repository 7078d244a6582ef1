"""Memory, disks and folders that fail: one paragraph, status 1, the last checkpoint whole."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import job
from runner.config import machine, saved
from runner.config.friendly import friendly
from runner.errors import RunError
from runner.store.files import read_json

from .conftest import Compose
from .test_errors import run
from .test_ship import TINY


class ResourceExhaustedError(Exception):
    """What TensorFlow names its error."""

    __module__ = "tensorflow.python.framework.errors_impl"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError("Unable to allocate 60 GiB"), "memory is used up (Unable to allocate 60 GiB)"),
        (ResourceExhaustedError("Out of memory"), "memory is used up"),
        (
            RuntimeError("Exception from\n\nINTERNAL: RESOURCE_EXHAUSTED: 7 bytes\nat"),
            "memory is used up (INTERNAL: RESOURCE_EXHAUSTED: 7 bytes).",
        ),
        (
            ResourceExhaustedError("/x/events; No space left on device"),
            "a file cannot be written: no space is left",
        ),
        (OSError(errno.ENOSPC, "full", "/x/y.json"), "/x/y.json cannot be written: no space"),
        (OSError(errno.EROFS, "ro", "/x"), "/x cannot be written (Read-only file system)"),
        (PermissionError(errno.EACCES, "no", "/x"), "/x cannot be written (Permission denied)"),
        (FileNotFoundError(errno.ENOENT, "no", "/p/.a-1.npz"), "/p cannot be made or opened"),
        (NotADirectoryError(errno.ENOTDIR, "no", "/x"), "/x cannot be made or opened"),
        (OSError(errno.EIO, "bad", "/x"), "/x: Input/output error."),
        (OSError("Can't write data (errno = 28, No space left on device)"), "no space is left"),
    ],
)
def test_what_the_machine_causes_is_explained(
    error: Exception, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop, friendly():
        raise error
    shown = capsys.readouterr().err
    assert stop.value.code == 1
    assert shown.startswith("The run stopped: ")
    assert message in shown
    assert shown.count("\n") == 1


def test_the_cause_counts_where_a_library_wraps_it() -> None:
    """As `logging.config` does, whose own error says only which handler it was."""
    wrapped = ValueError("Unable to configure handler 'file'")
    wrapped.__cause__ = OSError(errno.EROFS, "ro", "/x/run.log")
    assert "/x/run.log cannot be written" in str(machine.reason(wrapped))


@pytest.mark.parametrize("bug", [ValueError("shapes"), KeyError("a"), OSError("a sentence")])
def test_a_bug_is_not_explained(bug: Exception) -> None:
    assert machine.reason(bug) is None


def test_out_of_memory_says_what_takes_it(composed: Compose, tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match=r"used up.*takes about.*ntm\.n_width=256"),
        machine.failures_explained(composed("ntm.m_depth=300", "evaluate.batch_size=1"), tmp_path),
    ):
        raise MemoryError


def test_a_thread_that_ends_with_it_is_quiet(
    composed: Compose, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "full")

    shown = threading.excepthook
    with machine.failures_explained(composed(), tmp_path):
        thread = threading.Thread(target=full)
        thread.start()
        thread.join()
    assert threading.excepthook is shown
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_run_whose_directory_is_deleted_ends_and_does_not_bring_it_back(
    composed: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    config = composed(*TINY)
    train = job.Training.run

    def deleted_first(training: job.Training, watcher: object) -> object:
        shutil.rmtree(folder)
        return train(training, watcher)  # type: ignore[arg-type]

    monkeypatch.setattr(job.Training, "run", deleted_first)
    saved.write_config(config, folder)
    with pytest.raises(RunError, match=f"{folder}.* was deleted while the run wrote to it"):
        job.run(config, folder)
    assert not folder.exists()


@pytest.mark.parametrize("place", ["/proc/nope/x", "{file}/x"])
def test_a_directory_that_cannot_be_made_is_one_paragraph(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run(tmp_path, f"hydra.run.dir={place.format(file=tmp_path / 'file')}")
    assert done.returncode == 1
    assert done.stderr.startswith("The run stopped: ")
    assert "cannot be made or opened" in done.stderr
    assert "hydra.run.dir" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2,100 kB, which holds one checkpoint and not two."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2100k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only who may mount a disk can have a full one")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_a_run_with_its_last_checkpoint_whole(
    mounted: Path, tmp_path: Path
) -> None:
    sizes = (
        *("trainer.steps=200", "trainer.checkpoint_every=20", "task.max_length=5"),
        *("ntm.n_width=16", "evaluate.sequences=64", "evaluate.cases=[length=5]"),
    )
    folder = mounted / "run"
    done = run(tmp_path, *sizes, f"hydra.run.dir={folder}")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("The run stopped: ")
    assert "no space is left" in last
    assert f"go on with resume={folder}" in last
    assert read_json(folder / "status.json")["status"] != "finished"
    assert list((folder / "checkpoints").glob("step_*.npz"))
    resumed = run(tmp_path, f"resume={folder}", "hydra.run.dir=resumed", "trainer.steps=60")
    assert resumed.returncode == 0, resumed.stderr
    assert os.path.isfile(tmp_path / "resumed/model.keras")
