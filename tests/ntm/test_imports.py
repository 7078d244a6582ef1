"""The layer and its controllers stand alone: anyone can take them into a project of their own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Three seams know TensorFlow.
ALSO = {
    name: {"tensorflow"} for name in ("tensorflow_loop.py", "tensorflow_products.py", "noise.py")
}


def imported(path: Path) -> set[str]:
    """The top-level packages that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, path
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("package", ["ntm", "controllers"])
def test_a_package_imports_keras_and_itself_only(package: str) -> None:
    files = sorted((ROOT / package).glob("*.py"))
    assert files
    for path in files:
        allowed = {package, "keras", *sys.stdlib_module_names, *ALSO.get(path.name, ())}
        assert imported(path) <= allowed, path.name
