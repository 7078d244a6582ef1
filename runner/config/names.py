"""Keys of the configuration by the names that older runs and commands have."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ntm.renamed import renamed
from runner.config import targets

# The key of today for each that has another name in older files, one a line.
RENAMED = {
    "ntm.state_noise": "ntm.perturbation.state_noise",
    "ntm.state_drift": "ntm.perturbation.state_drift",
    "ntm.memory_noise": "ntm.perturbation.memory_noise",
    "ntm.memory_clutter": "ntm.perturbation.memory_clutter",
    "ntm.read_noise": "ntm.perturbation.read_noise",
    "ntm.weighting_leak": "ntm.perturbation.weighting_leak",
    "ntm.weighting_drift": "ntm.perturbation.weighting_drift",
    "task.blanks": "task.zero_rate",
    "task.lookalikes": "task.near_duplicate_rate",
    "task.uncounted": "task.random_count_rate",
    "trainer.average": "trainer.ema_decay",
    "trainer.clip_factor": "trainer.clip_norm_ratio",
    "trainer.fade": "trainer.quadratic_clip",
}
# Keys that older files have and nothing reads any more, and what to do without them.
REMOVED = {
    "trainer.restart_at": "leave it away: a machine is judged after two fifths of trainer.steps",
    "trainer.restart_above": "leave it away: a machine is compared with a guess without memory",
}
# The paper's feed-forward controller; `controller=dense` is one linear layer.
RENAMED_PRESET = re.compile(r"\b(paper/[a-z_]+)_dense\b")


def today(made: Any) -> Any:
    """A saved configuration, nested dicts or OmegaConf's, with the keys of today."""
    if isinstance(made, DictConfig):
        made = OmegaConf.to_container(made)
    if not isinstance(made, dict):
        return made
    result = renamed(made, RENAMED)
    for removed in REMOVED:
        group, _, key = removed.partition(".")
        if isinstance(result.get(group), dict):
            result[group].pop(key, None)
    for group in targets.GROUPS:
        node = result.get(group)
        if isinstance(node, dict) and targets.TARGET not in node:  # Its name stood for it.
            found = targets.targets_of(group).get(str(node.get("name")))
            if found is not None:
                result[group] = {targets.TARGET: found, **node}
    return result


def note(key: str) -> str:
    """The sentence that tells a person of a key's new name."""
    return f"{key} is called {RENAMED[key]} now"


def override_today(override: str) -> str:
    """An argument such as `ntm.state_noise=0.2` with the key, or the preset, of today."""
    stated, equals, value = override.partition("=")
    key = stated.lstrip("+~")
    prefix = stated.removesuffix(key)
    if key == "experiment":
        value = RENAMED_PRESET.sub(r"\1_feedforward", value)
    return f"{prefix}{RENAMED.get(key, key)}{equals}{value}"
