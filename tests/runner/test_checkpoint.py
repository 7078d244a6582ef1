"""Checkpoints: everything comes back, the newest is found, old ones go."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from runner.errors import ConfigError
from runner.store import checkpoint


def variables(scale: float) -> list[tf.Variable]:
    return [
        tf.Variable(scale * np.arange(6.0).reshape(2, 3)),
        tf.Variable(np.array([1, 2], np.uint32)),
        tf.Variable(scale),
    ]


def saved(directory: Path, step: int, values: Any, progress: dict[str, Any] | None = None) -> Path:
    path = checkpoint.save(directory, step, values, progress or {"step": step}, {"seed": 5})
    assert path is not None
    return path


def test_everything_comes_back(tmp_path: Path) -> None:
    progress = {"step": 3, "seconds": 1.5, "history": [{"loss": 2.0}], "solved": None}
    path = saved(tmp_path, 3, variables(2.0), progress)
    restored = variables(0.0)
    assert checkpoint.restore(path, restored) == progress
    for mine, before in zip(restored, variables(2.0), strict=True):
        np.testing.assert_array_equal(mine.numpy(), before.numpy())
    assert checkpoint.config_of(path) == {"seed": 5}


def test_the_newest_is_found_and_old_ones_go(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    for step in (9, 10, 1000):
        saved(tmp_path, step, variables(step))
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    assert checkpoint.step_of(newest) == 1000
    assert sorted(checkpoint.step_of(path) for path in tmp_path.iterdir()) == [10, 1000]


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_damaged_checkpoint_is_passed_over(
    length: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older, newest = (saved(tmp_path, step, variables(1.0)) for step in (1, 2))
    newest.write_bytes(newest.read_bytes()[:length])
    assert checkpoint.latest(tmp_path) == older
    assert f"{newest} is damaged (File is not a zip file)" in caplog.text

    older.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"every checkpoint .*resume=.*hydra.run.dir="):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_not_finite_is_never_written(broken: float, tmp_path: Path) -> None:
    sound = saved(tmp_path, 1, variables(1.0))
    values = [*variables(1.0), tf.Variable([1.0, broken])]
    assert checkpoint.save(tmp_path, 2, values, {"step": 2}, {}) is None
    assert list(tmp_path.iterdir()) == [sound]


def test_what_is_not_finite_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever wrote it."""
    sound = saved(tmp_path, 1, variables(1.0))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_is_finite", lambda array: True)
        newest = saved(tmp_path, 2, [*variables(1.0), tf.Variable(np.nan)])
    assert checkpoint.latest(tmp_path) == sound
    assert f"{newest} is damaged (it holds numbers that are not finite)" in caplog.text
    sound.unlink()
    with pytest.raises(ConfigError, match=r"every checkpoint .*step_000000002.npz: .*not finite"):
        checkpoint.latest(tmp_path)


@pytest.mark.parametrize(
    ("progress", "config"),
    [
        ('{"step": 2, "began": "x"}', "{}"),
        ('{"step": 99}', "{}"),
        ('{"step": true}', "{}"),
        ("[]", "{}"),
        ("{", "{}"),
        ('{"step": 2}', "[1]"),
        ('{"step": 2}', "no JSON"),
    ],
)
def test_a_checkpoint_whose_words_are_wrong_is_passed_over(
    progress: str, config: str, tmp_path: Path
) -> None:
    older, newest = (saved(tmp_path, step, variables(1.0)) for step in (1, 2))
    with np.load(newest) as arrays:
        changed = {name: arrays[name] for name in arrays.files}
    np.savez(newest, **changed | {"progress": np.array(progress), "config": np.array(config)})
    assert checkpoint.latest(tmp_path) == older


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, 1, variables(1.0))
    with pytest.raises(ConfigError, match="do not fit"):
        checkpoint.restore(path, [*variables(0.0)[:2], tf.Variable([1.0])])
