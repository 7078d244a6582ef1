"""Compiled programs on disk: where they go, when they are not kept, what is deleted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner import compiled

ROOT = Path(__file__).parents[2]
# What a job does, at its smallest: name the directory, import TensorFlow, compile.
PROGRAM = """
import sys
from runner import compiled, quiet
compiled.keep(sys.argv[1])
with quiet.native_notices():
    import tensorflow as tf
function = tf.function(lambda x: 3.0 * x + 1.0, jit_compile=True)
print(float(function(tf.constant(2.0))))
"""


@pytest.fixture(autouse=True)
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, "")


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    def programs() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("xla_compile_cache*")}

    def run() -> str:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    assert run() == "7.0\n"
    first = programs()
    assert len(first) == 1
    assert run() == "7.0\n"
    assert programs() == first


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(compiled.FLAGS, "--tf_xla_cpu_global_jit")
    compiled.keep(str(tmp_path))
    assert os.environ[compiled.FLAGS].startswith("--tf_xla_cpu_global_jit --tf_xla_persistent")

    chosen = f"{compiled.DIRECTORY_FLAG}=/elsewhere"
    monkeypatch.setenv(compiled.FLAGS, chosen)
    compiled.keep(str(tmp_path))
    assert os.environ[compiled.FLAGS] == chosen


def test_nothing_is_kept_where_nothing_can_be_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compiled.keep(None)
    (tmp_path / "file").write_text("not a directory")
    compiled.keep(str(tmp_path / "file"))
    assert os.environ[compiled.FLAGS] == ""
    assert "compiled programs are not kept" in caplog.text
    assert "compilation_cache=null" in caplog.text


def test_the_oldest_are_deleted_first(tmp_path: Path) -> None:
    for age, name in enumerate(["newest", "middle", "oldest"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    compiled.prune(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 3
    compiled.prune(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"newest", "middle"}
