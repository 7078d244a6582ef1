"""Files are whole or absent, whatever happens while they are written."""

import json
import os
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from runner.errors import ConfigError
from runner.store import files


def test_write_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    files.make(tmp_path, "new folder")
    path = tmp_path / "new folder" / "status.json"
    files.write_text(path, "old")
    files.write_text(path, "new é")

    assert path.read_text(encoding="utf-8") == "new é"
    assert os.listdir(path.parent) == ["status.json"]


@pytest.mark.parametrize(
    "path", ["/a/run", "/a folder/0", "/a/seed=0,rate=1/0", "/it's/[x]", '/"so" (1)/é', "/a=b's"]
)
def test_any_path_can_be_typed_as_it_is_printed(path: str) -> None:
    (word,) = shlex.split(files.as_override("resume", Path(path)))
    override = OverridesParser.create().parse_override(word)
    assert (override.key_or_group, override.value()) == ("resume", path)


def test_a_folder_that_is_gone_does_not_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        files.write_text(tmp_path / "gone" / "status.json", "text")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_crash_in_the_middle_leaves_the_old_file(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    path = tmp_path / "model.keras"
    path.write_text("old")

    with pytest.raises(failure), files.replace_with(path) as unfinished:
        unfinished.write_text("half of the n")
        raise failure

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_text("old")

    with files.replace_with(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"

    assert path.read_text() == "new"


def test_the_unfinished_file_keeps_the_suffix_and_the_folder(tmp_path: Path) -> None:
    """Keras refuses to save to a name without `.keras`; a rename across disks is not atomic."""
    with files.replace_with(tmp_path / "model.keras") as unfinished:
        assert unfinished.suffix == ".keras"
        assert unfinished.parent == tmp_path
        unfinished.write_text("x")


def test_content_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this order a power cut can leave an empty file under the final name."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("rename"), replace(a, b)))

    files.write_text(tmp_path / "a", "text")

    assert done == ["sync", "rename", "sync"]


def test_json_is_strict_and_takes_numpy_and_nested_values(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    files.write_json(
        path,
        {
            "loss": float("nan"),
            "rate": np.float32(0.5),
            "steps": np.int64(3),
            "cases": {"length=5": (1, None, np.inf)},
            "curve": np.array([1.0, np.nan]),
        },
    )

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "loss": None,
        "rate": 0.5,
        "steps": 3,
        "cases": {"length=5": [1, None, None]},
        "curve": [1.0, None],
    }


def test_a_file_that_was_not_written_yet_is_empty(tmp_path: Path) -> None:
    assert files.read_json(tmp_path / "a.json") == {}
    assert files.read_yaml(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize("read", [files.read_json, files.read_yaml])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'{"a": [1,', b"[" * 100_000])
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(
    read: Callable[[Path], Any], content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path} is not readable as .*Restore it"):
        read(path)


def test_yaml_keeps_references_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "12345")
    (tmp_path / "a.yaml").write_text("a: ${oc.env:SECRET}\nb: 1e-5\n")
    assert files.read_yaml(tmp_path / "a.yaml") == {"a": "${oc.env:SECRET}", "b": 1e-5}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("part", bytes(range(256)))
    return tmp_path / "a.zip"


def test_a_whole_archive_has_no_damage(archive: Path) -> None:
    assert files.damage(archive) is None


def test_a_changed_byte_is_found_and_named(archive: Path) -> None:
    content = archive.read_bytes()
    at = content.index(bytes(range(256))) + 100
    archive.write_bytes(content[:at] + b"?" + content[at + 1 :])
    assert files.damage(archive) == "its part 'part' is not what was written"


def test_every_shortened_archive_is_damaged(archive: Path) -> None:
    content = archive.read_bytes()
    for length in range(len(content)):
        archive.write_bytes(content[:length])
        assert files.damage(archive), length


def test_nothing_that_is_changed_in_an_archive_is_an_error_of_ours(archive: Path) -> None:
    """Each byte of its directory tells zipfile something else."""
    content = archive.read_bytes()
    for at in range(len(content)):
        archive.write_bytes(content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :])
        files.damage(archive)
