"""Composing the real configuration, as `python run.py` does."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from runner.config import schema, targets

ROOT = Path(__file__).resolve().parent.parent.parent
TASKS = list(targets.targets_of("task"))
Compose = Callable[..., DictConfig]

# Figures take longer than all else of a run of a few steps.
DRAWN, UNDRAWN = "figures.format=[png]", "figures.format=[]"
# One machine for whatever trains something at all: files of tests that one process runs, one after
# another, share what they have compiled. The longest case that they evaluate is that of LONGEST.
TINY_MACHINE = (
    *("task.max_length=3", "ntm.n_width=8", "ntm.m_depth=4", "controller=double_dense"),
    *("controller.units=6", "trainer.batch_size=4", "trainer.shards=1", "evaluate.batch_size=5"),
    UNDRAWN,
)
LONGEST = "length=5"


@pytest.fixture(scope="session")
def composed() -> Compose:
    """`composed("task=copy", ...)` is a copy of the configuration that this command line gives."""
    schema.register()

    @cache
    def composed_once(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", list(overrides))

    return lambda *overrides: copy.deepcopy(composed_once(*overrides))
