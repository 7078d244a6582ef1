"""Compiled programs on disk: where they go, when they are not kept, what is deleted."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.errors import RunError
from runner.training import compiled

ROOT = Path(__file__).parents[2]
# What a job does, at its smallest: name the directory, import TensorFlow, compile.
PROGRAM = """
import sys
from runner.config import quiet
from runner.training import compiled
compiled.keep(sys.argv[1])
with quiet.native_notices():
    import tensorflow as tf
    from runner.training.program import Program
function = Program(tf.function(lambda x: 3.0 * x + 1.0, jit_compile=True))
print(float(function(tf.constant(2.0))))
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, "")


def test_a_second_process_finds_what_the_first_compiled(tmp_path: Path) -> None:
    def programs() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("xla_compile_cache*")}

    assert run(tmp_path).stdout == "7.0\n"
    first = programs()
    assert len(first) == 1
    assert run(tmp_path).stdout == "7.0\n"
    assert programs() == first


def test_programs_land_in_a_folder_whose_name_has_spaces_and_quotes(tmp_path: Path) -> None:
    folder = tmp_path / """one 'two" three\\ --four=5"""
    folder.mkdir()
    assert run(folder).stdout == "7.0\n"
    assert len(list(folder.rglob("xla_compile_cache*"))) == 1
    assert list(tmp_path.iterdir()) == [folder]


def test_a_file_of_flags_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, "/a/file")
    compiled.keep(str(tmp_path))
    assert os.environ[compiled.FLAGS] == "/a/file"


def test_programs_of_other_flags_are_kept_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for flags in ("", "--xla_backend_optimization_level=0"):
        monkeypatch.setenv("XLA_FLAGS", flags)
        compiled.keep(str(tmp_path))
        monkeypatch.setenv(compiled.FLAGS, "")
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_program_is_made_again(tmp_path: Path) -> None:
    run(tmp_path)
    [program] = tmp_path.rglob("xla_compile_cache*")
    content = program.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:-1], content[:middle] + bytes(len(content) - middle)):
        program.write_bytes(damaged)
        done = run(tmp_path)
        assert done.stdout == "7.0\n"
        assert "compiled programs are deleted in" in done.stderr
        assert program.stat().st_size == len(content)


def test_nothing_is_kept_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=compiled.LEAST_FREE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    compiled.keep(str(tmp_path))
    assert os.environ[compiled.FLAGS] == ""
    assert "less than 32 MB of free space" in caplog.text


def full_disk(folder: Path) -> OSError:
    reason = f"{folder}/xla_compile_cache__1.pb.tmp; No space left on device"
    return OSError(f"Graph execution error:\n\n{reason}\n\t[[{{{{node x}}}}]]")


@pytest.mark.parametrize("quoted", [False, True])
def test_a_program_that_can_never_be_written_ends_the_run_with_a_reason(
    quoted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quoted:
        tmp_path = tmp_path / 'a "b'
        tmp_path.mkdir()
    named = f"{compiled.DIRECTORY_FLAG}={compiled._quoted(tmp_path) if quoted else tmp_path}"
    monkeypatch.setenv(compiled.FLAGS, f"{named} --other")
    (tmp_path / "xla_compile_cache__2.pb").touch()
    (tmp_path / "of somebody else").touch()

    def fails() -> None:
        raise full_disk(tmp_path)

    with pytest.raises(RunError) as stopped:
        compiled.recovered(fails, lambda: None)
    assert "xla_compile_cache__1.pb.tmp; No space left on device)" in str(stopped.value)
    assert "compilation_cache=" in str(stopped.value)
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else"]


def test_what_a_failed_call_has_changed_is_undone_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiled.FLAGS, f"{compiled.DIRECTORY_FLAG}={tmp_path}")
    done: list[str] = []

    def call() -> str:
        done.append("call")
        if len(done) == 1:
            raise full_disk(tmp_path)
        return "result"

    assert compiled.recovered(call, lambda: done.append("undo")) == "result"
    assert done == ["call", "undo", "call"]


def test_another_error_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, f"{compiled.DIRECTORY_FLAG}={tmp_path}")
    (tmp_path / "xla_compile_cache__2.pb").touch()

    def fails() -> None:
        raise ValueError("the shapes differ")

    with pytest.raises(ValueError, match="shapes"):
        compiled.recovered(fails, fails)
    assert list(tmp_path.iterdir())


def test_auto_is_the_user_s_directory_of_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "user_cache_path", lambda name: tmp_path / name)
    compiled.keep("auto")
    assert str(tmp_path / "ntm") in os.environ[compiled.FLAGS]


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
    compiled.keep("~no_such_user/cache")
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
