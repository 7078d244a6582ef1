"""The layer and its controllers stand alone: anyone can take them into a project of their own."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ntm

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
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        allowed = {package, "keras", *sys.stdlib_module_names, *ALSO.get(path.name, ())}
        assert imported(path) <= allowed, path.name


PRIVATE = re.compile(
    r"keras\.src|\._call_has_\w+|\._flatten_layers|\._assert_\w+|_dropout_mask\b(?!\()"
)


def test_one_file_knows_what_is_private_in_keras() -> None:
    found = {path.name for path in (ROOT / "ntm").rglob("*.py") if PRIVATE.search(path.read_text())}
    assert found == {"_keras.py"}


ORDERS = {
    "the layer first": "import ntm, keras",
    "Keras first": "import keras, ntm",
    "a part of the layer": "import ntm.addressing, keras",
    "a look for Keras between": (
        "import ntm, importlib.util; assert importlib.util.find_spec('keras'); import keras"
    ),
    "Keras by way of TensorFlow": "import ntm, tensorflow as tf; tf.keras; import keras",
}


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
def test_a_model_loads_whichever_was_imported_first(order: str, tmp_path: Path) -> None:
    """And nothing that finds modules is left behind."""
    path = ROOT / "tests/runner/older_run/model.keras"
    code = (
        f"{ORDERS[order]}; import sys\n"
        f"keras.models.load_model({str(path)!r})\n"
        "assert not any(type(each).__module__.startswith('ntm') for each in sys.meta_path)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


def test_every_public_name_is_there() -> None:
    assert set(ntm.__all__) <= set(dir(ntm))
    for name in ntm.__all__:
        assert getattr(ntm, name).__name__ == name
    for module in ("addressing", "heads", "memory"):
        assert getattr(ntm, module).__name__ == f"ntm.{module}"
    with pytest.raises(AttributeError, match="module 'ntm' has no attribute 'NeuralTuring'"):
        ntm.NeuralTuring  # noqa: B018
