"""What a run has left, read from its files and checked: the one reader of them all.

A file that is not there yet is empty. Every other that is of no use is a ConfigError that says
which, what is wrong with it and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.store.files import HISTORY, METRICS, STATUS, read_json, read_yaml, unreadable

CONFIG, OVERRIDES = ".hydra/config.yaml", ".hydra/overrides.yaml"
# Of `metrics.json`, whose other values are only shown.
NUMBERS = (
    *("parameters", "steps", "sequences", "seconds", "compile_seconds", "steps_per_second"),
    *("solved_at_sequences", "restarts", "rollbacks"),
)

# Of each case.
SCORES = ("bit_errors_per_sequence", "loss_bits_per_sequence")

Problem = str | None
Check = Callable[[Any], Problem]


def metrics(folder: Path) -> dict[str, Any]:
    """`metrics.json`; its `evaluation` maps cases to maps of scores."""
    return _checked(folder / METRICS, read_json, _metrics_problem)


def status(folder: Path) -> dict[str, Any]:
    """`status.json`: a text `status`, and an `error` that is a text or None."""
    return _checked(folder / STATUS, read_json, _status_problem)


def history(folder: Path) -> list[dict[str, Any]]:
    """The points of the training curve in `history.json`: steps, sequences and scores.

    Points without scores, of steps that were not finite, are left out.
    """
    points = _checked(folder / HISTORY, read_json, _history_problem).get("training", [])
    return [point for point in points if None not in (point["loss_bits"], point["bit_errors"])]


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """The scheduled evaluations in `history.json`: a `step`, and its `results` by case."""
    return list(_checked(folder / HISTORY, read_json, _history_problem).get("evaluations", []))


def overrides(folder: Path) -> list[str]:
    """What was stated for the run; a reference in it stays text."""
    return list(_checked(folder / OVERRIDES, read_yaml, _overrides_problem) or [])


def config(folder: Path) -> dict[str, Any]:
    """The configuration that ran, of values alone.

    Raises ConfigError for a reference in it, too: what it means may have changed since the run.
    """
    found = raw_config(folder)
    refuse_references(folder, found)
    return found


def raw_config(folder: Path) -> dict[str, Any]:
    """The configuration as it stands, in which a run that ended early may have references."""
    return _checked(folder / CONFIG, read_yaml, _config_problem)


def refuse_references(folder: Path, found: Mapping[str, Any]) -> None:
    """Raise ConfigError if a saved configuration has a reference, such as to the environment."""
    for key, value in _texts(found):
        if "${" in value:
            raise ConfigError(
                f"{folder / CONFIG} has the reference {key}={value}, and a saved configuration "
                "holds values: write the value there that the run was made with."
            )


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values of nested maps under dotted keys, such as `ntm.n_width`."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        is_node = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{key}.") if is_node else {f"{prefix}{key}": value}
    return found


def _checked(path: Path, read: Callable[[Path], Any], problem: Check) -> Any:
    found = read(path)
    wrong = problem(found)
    if wrong is not None:
        raise ConfigError(unreadable(path, wrong))
    return found


def _map_problem(found: Any) -> Problem:
    return None if isinstance(found, dict) else f"holds {_kind(found)} where a map belongs"


def _config_problem(found: Any) -> Problem:
    """A map of values, of lists of values, and of such maps."""
    if not isinstance(found, dict):
        return _map_problem(found)
    for key, value in found.items():
        if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
            return f"has {key}={value!r} where a plain list belongs"
        problem = _config_problem(value) if isinstance(value, dict) else None
        if problem is not None:
            return problem
    return None


def _metrics_problem(found: Any) -> Problem:
    if not isinstance(found, dict):
        return _map_problem(found)
    for key in NUMBERS:
        if not _is_number(found.get(key)):
            return f"has {key}={found[key]!r} where a number or null belongs"
    cases = found.get("evaluation", {})
    if not isinstance(cases, dict):
        return f"holds {_kind(cases)} as its evaluation where a map of cases belongs"
    for case, scores in cases.items():
        if not isinstance(scores, dict):
            return f"holds {_kind(scores)} as the scores of {case!r} where a map belongs"
        for score in SCORES:
            if not _is_number(scores.get(score)):
                return f"has a {score} of {case!r} that is neither a number nor null"
    return None


def _status_problem(found: Any) -> Problem:
    if not isinstance(found, dict):
        return _map_problem(found)
    if not isinstance(found.get("status", ""), str):
        return f"has status={found['status']!r} where a text belongs"
    if not isinstance(found.get("error"), str | None):
        return f"has error={found['error']!r} where a text or null belongs"
    return None


def _history_problem(found: Any) -> Problem:
    if not isinstance(found, dict):
        return _map_problem(found)
    points = found.get("training", [])
    if not isinstance(points, list):
        return f"holds {_kind(points)} as its training where a list of points belongs"
    for point in points:
        if not isinstance(point, dict) or not all(map(_is_number, point.values())):
            return f"has the point {point!r} where a map of numbers belongs"
        if not all(name in point for name in ("step", "sequences", "loss_bits", "bit_errors")):
            return f"has the point {point!r}, which lacks step, sequences, loss_bits or bit_errors"
        if not point["sequences"] or point["sequences"] < 0:
            return f"has a point of {point['sequences']} sequences"
        if not point["step"]:
            return f"has a point of {point['step']} steps"
    return _evaluations_problem(found.get("evaluations", []))


def _evaluations_problem(found: Any) -> Problem:
    if not isinstance(found, list):
        return f"holds {_kind(found)} as its evaluations where a list belongs"
    for entry in found:
        step = entry.get("step") if isinstance(entry, dict) else None
        if not step or not _is_number(step):
            return f"has the evaluation {entry!r}, which lacks its step"
        problem = _metrics_problem({"evaluation": entry.get("results")})
        if problem is not None:
            return problem
    return None


def _overrides_problem(found: Any) -> Problem:
    if found and not (isinstance(found, list) and all(isinstance(each, str) for each in found)):
        return "is no list of texts such as seed=1"
    return None


def _is_number(value: Any) -> bool:
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _kind(value: Any) -> str:
    kinds = {list: "a list", dict: "a map", str: "a text", type(None): "nothing"}
    return kinds.get(type(value), "a number")


def _texts(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every text in nested maps and lists, with its dotted key."""
    if isinstance(node, str):
        yield prefix, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, prefix)
