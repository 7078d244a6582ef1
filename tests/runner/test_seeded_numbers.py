"""What a seed gives stays what it is: the losses of a few steps of three recipes.

`seeded_numbers.json` holds them as revision cfd2db3 gave them; what a recipe has changed since then
is set back. Which instructions a compiler takes, and so the order of sums, follows from the
processor, the number of its cores and the release of TensorFlow: where these are the recorded ones
every bit must be the same. Elsewhere only rounding may differ, which six steps make no larger than
1e-3 of a loss; another draw of noise or another equation changes the first of them by more.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from runner.config.schema import task_from
from runner.training import build, data
from runner.training.step import TrainingStep

from .conftest import Compose

RECORDED = json.loads((Path(__file__).parent / "seeded_numbers.json").read_text())
STEPS = 6
SMALL = (
    *("ntm.n_width=16", "ntm.m_depth=8", "trainer.batch_size=4", "trainer.shards=1"),
    f"trainer.steps={STEPS}",
)
RECIPES = {
    "copy": (
        *("task=copy", "controller.units=[16]", "task.max_length=6"),
        *("task.near_duplicate_rate=0.1", "ntm.write_shift_offset=0"),
        *("ntm.perturbation.memory_noise=0.1", "ntm.perturbation.memory_clutter=1"),
        *("ntm.perturbation.weighting_leak=0.3", "ntm.perturbation.weighting_drift=0.2"),
        *("trainer.clip_norm=10", "trainer.clip_norm_ratio=3", "trainer.weight_noise=0.02"),
        *("trainer.state_clip_growth=1000", "ntm.perturbation.state_drift=0.3"),
        "optimizer.amsgrad=false",
    ),
    "priority_sort": (
        *("task=priority_sort", "controller.units=16", "task.max_items=5", "task.targets=4"),
        *("task.lengths=batch", "trainer.state_clip_growth=30"),
    ),
    "associative_recall": (
        *("task=associative_recall", "controller.units=16", "task.max_items=3"),
        *("ntm.gate_offset=2", "ntm.perturbation.memory_clutter=0", "ntm.state_clip_norm=10"),
        *("trainer.state_clip_growth=1000", "optimizer.learning_rate=1e-3"),
        *("task.near_duplicate_rate=0.0", "ntm.write_gate_offset=0", "ntm.write_shift_offset=0"),
        *("ntm.perturbation.state_noise=0.1", "trainer.clip_norm=10"),
    ),
}


def machine_here() -> dict[str, Any]:
    """What the last bits depend on beside the code."""
    path = Path("/proc/cpuinfo")
    described = path.read_text() if path.exists() else ""
    flags = re.search(r"^flags\s*:(.*)$", described, re.M)
    vectors = [flag for flag in flags[1].split() if re.match("avx|fma|amx", flag)] if flags else []
    name = re.search(r"^model name\s*: (.*)$", described, re.M)
    return {
        "processor": name[1] if name else "",
        "vector instructions": sorted(vectors),
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        "gpus": len(tf.config.list_physical_devices("GPU")),
    }


def numbers(composed: Compose, recipe: str) -> list[list[float]]:
    """Loss in bits a sequence and norm of the gradient, for each of the first steps."""
    config = composed(*RECIPES[recipe], *SMALL)
    task = task_from(config)
    step = TrainingStep.from_config(config, build.model_from(config, task))
    found = []
    for number in range(1, STEPS + 1):
        batch = data.training_batch(task, config.seed, number, config.trainer.batch_size)
        result = step(*batch[:4])
        found.append([float(result.loss_bits), float(result.gradient_norm)])
    return found


@pytest.mark.parametrize(
    "recipe",
    [
        name if name == "associative_recall" else pytest.param(name, marks=pytest.mark.slow)
        for name in RECIPES
    ],
)
def test_a_seed_gives_the_numbers_that_were_recorded(recipe: str, composed: Compose) -> None:
    recorded = [[float.fromhex(number) for number in step] for step in RECORDED["steps"][recipe]]
    found = numbers(composed, recipe)
    if machine_here() == RECORDED["machine"]:
        assert found == recorded
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in recorded], rel=1e-3)
