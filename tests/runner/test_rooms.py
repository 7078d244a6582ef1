"""The rooms of the package depend on each other in one direction."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT

# Each may import itself and those before it.
ROOMS = ("errors", "store", "training", "config", "reporting", "results")
FILES = sorted((ROOT / "runner").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """What a file imports of the package, inside of functions too: `store.files`, for example."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name.removeprefix("runner.") for name in names if name.startswith("runner."))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "runner")))
def test_a_room_imports_those_before_it_alone(path: Path) -> None:
    room = path.relative_to(ROOT / "runner").parts[0].removesuffix(".py")
    if room not in ROOMS:
        return  # A command, or the one job that joins them.
    before = ROOMS[: ROOMS.index(room) + 1]
    assert {name.partition(".")[0] for name in imported(path)} <= set(before)


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {
        ".".join(path.relative_to(ROOT / "runner").with_suffix("").parts): path for path in FILES
    }
    needs = {
        name: {
            other
            for found in imported(path)
            for other in modules
            if found == other or found.startswith(f"{other}.")
        }
        - {name}
        for name, path in modules.items()
    }
    while needs:
        free = {name for name, others in needs.items() if not others & needs.keys()}
        assert free, f"these import each other: {sorted(needs)}"
        needs = {name: others for name, others in needs.items() if name not in free}
