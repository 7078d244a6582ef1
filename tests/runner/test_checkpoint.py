"""Checkpoints: everything comes back, the newest is found, old ones go."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from runner import checkpoint
from runner.errors import ConfigError


def variables(scale: float) -> list[tf.Variable]:
    return [
        tf.Variable(scale * np.arange(6.0).reshape(2, 3)),
        tf.Variable(np.array([1, 2], np.uint32)),
        tf.Variable(scale),
    ]


def test_everything_comes_back(tmp_path: Path) -> None:
    progress = {"step": 3, "seconds": 1.5, "history": [{"loss": 2.0}], "solved": None}
    path = checkpoint.save(tmp_path, 3, variables(2.0), progress)
    restored = variables(0.0)
    assert checkpoint.restore(path, restored) == progress
    for mine, saved in zip(restored, variables(2.0), strict=True):
        np.testing.assert_array_equal(mine.numpy(), saved.numpy())


def test_the_newest_is_found_and_old_ones_go(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path) is None
    for step in (9, 10, 1000):
        checkpoint.save(tmp_path, step, variables(step), {})
    newest = checkpoint.latest(tmp_path)
    assert newest is not None
    assert checkpoint.step_of(newest) == 1000
    assert sorted(checkpoint.step_of(path) for path in tmp_path.iterdir()) == [10, 1000]


@pytest.mark.parametrize("length", [0, 100, -1])
def test_a_damaged_checkpoint_is_passed_over(
    length: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older, newest = (checkpoint.save(tmp_path, step, variables(1.0), {}) for step in (1, 2))
    newest.write_bytes(newest.read_bytes()[:length])
    assert checkpoint.latest(tmp_path) == older
    assert f"{newest} is damaged (File is not a zip file)" in caplog.text

    older.write_bytes(b"")
    with pytest.raises(ConfigError, match=r"every checkpoint .*resume=.*hydra.run.dir="):
        checkpoint.latest(tmp_path)


def test_other_shapes_are_refused(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, variables(1.0), {})
    with pytest.raises(ConfigError, match="do not fit"):
        checkpoint.restore(path, [*variables(0.0)[:2], tf.Variable([1.0])])
