"""The animation shows what the machine does, step by step, in a file that a page can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from runner.reporting import animation
from runner.reporting.figures import row_window

from .test_figures import SLOTS, copy_trace


def traced(heads: int = 1) -> dict[str, np.ndarray]:
    trace = copy_trace(heads)
    steps = len(trace["inputs"])
    return trace | {"memory": np.random.default_rng(2).normal(size=(steps, SLOTS, 20))}


def test_every_step_shows_its_weightings_its_memory_and_nothing_of_later_ones() -> None:
    trace = traced(heads=2)
    scene = animation.Scene(trace, "copy", 0.1, [4])
    rows = row_window((trace["write_weights"], trace["read_weights"]), 0.1)
    for step in (5, 2):
        scene.show(step)
        images = {}
        for part in scene.figure.subfigs:
            images |= {a.get_title(): np.ma.asarray(a.images[0].get_array()) for a in part.axes}
        assert np.array_equal(images["memory"], trace["memory"][step][rows])
        assert np.array_equal(images["writing"], trace["write_weights"][step][:, rows].T)
        assert np.array_equal(images["reading"], trace["read_weights"][step][:, rows].T)
        for name in ("inputs", "outputs"):
            seen = images[name]
            assert np.array_equal(seen[:, : step + 1], trace[name].T[:, : step + 1])
            assert seen.mask[:, step + 1 :].all()
            assert not seen.mask[:, : step + 1].any()
        assert scene.figure.get_supxlabel() == f"step {step + 1} of 8"


def test_the_file_has_a_frame_for_every_step_and_rests_on_the_last(tmp_path: Path) -> None:
    path = tmp_path / "heads.gif"
    animation.save(traced(), path, "copy")
    with Image.open(path) as gif:
        assert gif.n_frames == 8  # type: ignore[attr-defined]
        lasts = []
        for frame in range(8):
            gif.seek(frame)
            lasts.append(gif.info["duration"])
        assert gif.info["loop"] == 0  # for ever
    assert len({*lasts[:-1]}) == 1
    assert lasts[-1] > 3 * lasts[0]
    assert list(tmp_path.iterdir()) == [path]
