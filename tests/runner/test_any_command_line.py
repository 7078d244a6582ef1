"""Any values for any keys: refused in a paragraph, or two steps are trained."""

from __future__ import annotations

import dataclasses
import tempfile
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from runner.config import targets
from runner.config.schema import OPTIONS, Config, Evaluate, Ntm, Trainer

from .forked import Runs, running

# The type of each option of each group.
GROUPS = dict(OPTIONS) | {
    group: {
        name: targets.schema_of(group, target) for name, target in targets.targets_of(group).items()
    }
    for group in targets.GROUPS
}
# Small, for what is not drawn. Names of cases fit copy, so they are drawn for it alone.
SMALL = (
    *("trainer.steps=2", "trainer.batch_size=2", "trainer.shards=1", "ntm.n_width=8"),
    *("ntm.m_depth=4", "evaluate.sequences=2", "evaluate.batch_size=2", "device=cpu"),
    *("compilation_cache=null", "hydra.run.dir=run"),
)
SIZES = {
    "copy": ("task.max_length=3", "evaluate.cases=[length=3]"),
    "repeat_copy": (
        *("task.max_length=2", "task.max_repeats=2", "evaluate.cases=[length=2,repeats=2]"),
    ),
    "associative_recall": ("task.max_items=2", "evaluate.cases=[items=2]"),
    "ngrams": ("task.min_length=9", "task.max_length=9", "evaluate.cases=[length=9]"),
    "priority_sort": ("task.max_items=3", "evaluate.cases=[items=3]"),
}
UNITS = {"double_dense": "3", "feedforward": "3", "lstm": "[3]", "dense": "[3]"}

WHOLE = st.one_of(
    *[st.integers(1, 9)] * 5,
    st.sampled_from([-1, 0, 100, 2**31 - 1, 2**31, 2**32, 2**63, 10**30]),
)
NUMBER = st.one_of(
    *[st.floats(0, 1, width=16, exclude_max=True).map(repr)] * 4,
    st.sampled_from(
        ["-1", "0", "1e-46", "1e-30", "1", "7", "1e30", "1e300", "1e400", "nan", "inf"]
    ),
)
TEXT = st.sampled_from(["", "tanh", "cosine", "sequence", "no such", "${seed}", "${oc.env:NOPE}"])
ANYTHING = st.sampled_from(["null", "[]", "{}", "[1,[2]]", "{a:1}", "???", "true", "x", "''"])
CASES = st.sampled_from(
    (
        *("[length=1]", "[length=4,length=2]", "[items=2]", "[length=0]", "[length=1e3]", "[a]"),
        *("[length=99999999]", "[length=99999999999999999999]", "['']", "[length=2,items=3]"),
    )
)
# A training of two steps that begins again for ever is what these would ask for.
FEW = {"trainer.restarts": st.integers(-1, 2)}
NOT_DRAWN = ("trainer.steps", "mode", "checkpoint", "resume", "compilation_cache")


def values(key: str, hint: Any) -> st.SearchStrategy[str]:
    """Texts for a key of a type: right ones, extremes, and now and then what fits no type."""
    if key in FEW:
        return FEW[key].map(str)
    if key == "evaluate.cases":
        return CASES | ANYTHING
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    by_kind: dict[Any, st.SearchStrategy[str]] = {
        int: WHOLE.map(str),
        float: NUMBER,
        bool: st.sampled_from(["true", "false"]),
        str: TEXT,
        list[int]: st.lists(WHOLE, max_size=3).map(lambda sizes: f"[{','.join(map(str, sizes))}]"),
        types.NoneType: st.just("null"),
    }
    fitting = st.one_of(*(by_kind[kind] for kind in kinds))
    return st.one_of(*[fitting] * 15, ANYTHING)


def keys_of(prefix: str, node: type) -> dict[str, Any]:
    hints = typing.get_type_hints(node)
    keys = {f"{prefix}{field.name}": hints[field.name] for field in dataclasses.fields(node)}
    return {key: hint for key, hint in keys.items() if not dataclasses.is_dataclass(hint)}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """An option of every group, small sizes, and one to four values of any keys."""
    chosen = {group: draw(st.sampled_from(sorted(options))) for group, options in GROUPS.items()}
    keys = keys_of("", Config) | keys_of("ntm.", Ntm) | keys_of("trainer.", Trainer)
    keys |= keys_of("evaluate.", Evaluate)
    for group, option in chosen.items():
        keys |= keys_of(f"{group}.", GROUPS[group][option])
    # A name alone is refused, whatever it is (test_config.py).
    names = [f"{group}.{key}" for group in GROUPS for key in ("name", "_target_")]
    drawn = sorted(key for key in keys if key not in (*GROUPS, *names, *NOT_DRAWN))
    stated = draw(st.lists(st.sampled_from(drawn), min_size=1, max_size=4, unique=True))
    overrides = [f"{key}={draw(values(key, keys[key]))}" for key in stated]
    units = [
        f"{group}.units={UNITS[chosen[group]]}"
        for group in ("controller", "model")
        if chosen[group] in UNITS and "units" in typing.get_type_hints(GROUPS[group][chosen[group]])
    ]
    groups = [f"{group}={option}" for group, option in chosen.items()]
    return [*groups, *SMALL, *SIZES[chosen["task"]], *units, *overrides]


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    with running("runner.job") as each:
        yield each


def ended(runs: Runs, arguments: list[str]) -> tuple[int, str, bool]:
    """The exit status, what was written, and whether a model was left."""
    with tempfile.TemporaryDirectory() as folder:
        done = runs(folder, *arguments)
        left = (Path(folder) / "run/model.keras").exists()
        return done.returncode, done.stdout + done.stderr, left


def check(runs: Runs, arguments: list[str]) -> None:
    """Status 0 with a model, or 1 or 2 with a paragraph at the end; never a stack trace."""
    note(" ".join(arguments))
    status, text, left_model = ended(runs, arguments)
    assert status in (0, 1, 2), f"status {status}: {text}"
    assert "Traceback" not in text, text
    if status == 0:
        assert left_model
        return
    start = "Configuration error: " if status == 2 else "The run stopped: "
    assert text.splitlines()[-1].startswith(start), text


@pytest.mark.slow
@settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(arguments=command_lines())
def test_any_command_line_is_refused_well_or_trains(runs: Runs, arguments: list[str]) -> None:
    check(runs, arguments)


@pytest.mark.slow
def test_small_sizes_alone_train(runs: Runs) -> None:
    """Else every command line above could be refused for the same reason."""
    for task, sizes in SIZES.items():
        status, text, left_model = ended(runs, [f"task={task}", *SMALL, *sizes])
        assert (status, left_model) == (0, True), text
