"""Arguments of the layer by the names that older saved models have."""

import warnings
from collections.abc import Mapping
from typing import Any

from ntm.training.perturbation import Perturbation

# Where an argument stands today, a dot between levels.
RENAMED = {
    "state_noise": "perturbation.state_noise",
    "state_drift": "perturbation.state_drift",
    "memory_noise": "perturbation.memory_noise",
    "memory_clutter": "perturbation.memory_clutter",
    "read_noise": "perturbation.read_noise",
    "weighting_leak": "perturbation.weighting_leak",
    "weighting_drift": "perturbation.weighting_drift",
}


def renamed(config: Mapping[str, Any], names: Mapping[str, str] = RENAMED) -> dict[str, Any]:
    """A nested configuration with every value at the place that it has today.

    Args:
        config: nested dicts. It stays as it is.
        names: from the place of before to that of today, a dot between levels.
    """
    result = _copied(config)
    for old, new in names.items():
        parent, name = _parent(result, old)
        if isinstance(parent, dict) and name in parent:
            value = parent.pop(name)
            parent, name = _parent(result, new, make=True)
            parent[name] = value
    return result


def _copied(node: Any) -> Any:
    return {key: _copied(value) for key, value in node.items()} if isinstance(node, dict) else node


def _parent(node: Any, place: str, make: bool = False) -> tuple[Any, str]:
    """The dict that a place is in, and its key there; with `make`, dicts that are missing too."""
    *levels, name = place.split(".")
    for level in levels:
        if make and node.get(level) is None:
            node[level] = {}
        node = node.get(level) if isinstance(node, dict) else None
    return node, name


def stated_by_old_names(keywords: dict[str, Any], perturbation: Any) -> Any:
    """The perturbation of a call that may state some of it by old names, which it warns of.

    keywords: those of the call, out of which the old names are taken.
    """
    old = {name: keywords.pop(name) for name in RENAMED if name in keywords}
    if not old:
        return perturbation
    for name in old:
        warnings.warn(f"{name} is called {RENAMED[name]} now", FutureWarning, stacklevel=3)
    return renamed({"perturbation": Perturbation.of(perturbation).as_dict(), **old})["perturbation"]
