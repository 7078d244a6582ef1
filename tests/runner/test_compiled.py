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
from runner.config import startup
from runner.training import compiled
compiled.keep(sys.argv[1])
with startup.native_notices():
    import tensorflow as tf
function = tf.function(lambda x: 3.0 * x + 1.0, jit_compile=True)
with compiled.failures_explained():
    print(float(function(tf.constant(2.0))))
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def no_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, "")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a difficult name, with the program that a first process has compiled."""
    folder = tmp_path_factory.mktemp("kept") / """one 'two" three\\ --four=5"""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compiled.FLAGS, "")
        assert run(folder).stdout == "7.0\n"
    return folder


@pytest.mark.slow
def test_programs_land_in_a_folder_whose_name_has_spaces_and_quotes(kept: Path) -> None:
    assert len(list(kept.rglob("xla_compile_cache*"))) == 1
    assert list(kept.parent.iterdir()) == [kept]


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


@pytest.mark.slow
def test_the_next_process_reads_the_program_and_the_one_after_a_damage_compiles_again(
    kept: Path, tmp_path: Path
) -> None:
    """One that is whole is not written again; a damaged one ends a run, and is gone then."""
    shutil.copytree(kept, tmp_path, dirs_exist_ok=True)
    [program] = tmp_path.rglob("xla_compile_cache*")
    written = program.stat().st_mtime_ns
    assert run(tmp_path).stdout == "7.0\n"
    assert program.stat().st_mtime_ns == written
    program.write_bytes(program.read_bytes()[:-1])
    done = run(tmp_path)
    assert "RunError: a compiled program kept in" in done.stderr
    assert not program.exists()
    assert run(tmp_path).stdout == "7.0\n"


@pytest.mark.parametrize("sign", compiled.FAILURES)
def test_each_failure_of_the_cache_is_known(
    sign: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiled.FLAGS, f"{compiled.DIRECTORY_FLAG}={tmp_path}")
    with pytest.raises(RunError, match=sign), compiled.failures_explained():
        raise OSError(f"Graph execution error:\n\n{sign}\n\t[[{{{{node x}}}}]]")


def test_nothing_is_kept_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=compiled.LEAST_FREE - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    compiled.keep(str(tmp_path))
    assert os.environ[compiled.FLAGS] == ""
    assert "less than 32 MB of free space" in caplog.text


@pytest.mark.parametrize("quoted", [False, True])
def test_a_program_that_cannot_be_written_ends_the_run_with_a_reason(
    quoted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if quoted:
        tmp_path = tmp_path / 'a "b'
        tmp_path.mkdir()
    named = f"{compiled.DIRECTORY_FLAG}={compiled._quoted(tmp_path) if quoted else tmp_path}"
    monkeypatch.setenv(compiled.FLAGS, f"{named} --other")
    reason = f"{tmp_path}/xla_compile_cache__1.pb.tmp; No space left on device"
    (tmp_path / "xla_compile_cache__2.pb").touch()
    (tmp_path / "of somebody else").touch()
    with pytest.raises(RunError) as stopped, compiled.failures_explained():
        raise OSError(f"Graph execution error:\n\n{reason}\n\t[[{{{{node x}}}}]]")
    assert f"({reason})" in str(stopped.value)
    assert "compilation_cache=" in str(stopped.value)
    assert [path.name for path in tmp_path.iterdir()] == ["of somebody else"]


def test_another_error_is_not_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.FLAGS, f"{compiled.DIRECTORY_FLAG}={tmp_path}")
    (tmp_path / "xla_compile_cache__2.pb").touch()
    with pytest.raises(ValueError, match="shapes"), compiled.failures_explained():
        raise ValueError("the shapes differ")
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
