"""What `pip install` brings: the layer alone, on a backend of one's choice."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")

pytestmark = pytest.mark.slow


def readme_example() -> str:
    """The block of README.md that shows the layer."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (block,) = (block for block in blocks if "NeuralTuringMachine(" in block)
    return block


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, *PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_layer_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        needs = re.findall(r"^Requires-Dist: (.*)$", archive.read(metadata).decode(), re.M)
    assert {name.split("/")[0].partition("-")[0] for name in names} == {
        "ntm",
        "neural_turing_machine",
    }
    assert "ntm/py.typed" in names
    always = {re.split("[<>=]", need)[0] for need in needs if "extra ==" not in need}
    assert always == {"keras", "numpy"}


def test_the_readmes_layer_runs_where_nothing_else_is_installed(
    wheel: Path, tmp_path: Path
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv/bin/python")
    locks = [ROOT / "requirements.lock", ROOT / "requirements-backends.lock"]
    constraints = [part for lock in locks for part in ("--constraint", str(lock))]
    subprocess.run([python, *PIP, "install", *constraints, f"{wheel}[jax]"], check=True)
    script = readme_example().replace(", jit_compile=True", "") + (
        "\nimport importlib.util, numpy as np\n"
        "inputs = np.zeros((4, 6, 10), 'float32')\n"
        "assert model.predict(inputs, verbose=0).shape == (4, 6, 8)\n"
        "model.fit(inputs, np.zeros((4, 6, 8)), verbose=0)\n"
        "assert importlib.util.find_spec('tensorflow') is None\n"
        "assert importlib.util.find_spec('hydra') is None\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    subprocess.run([python, "-c", script], check=True, cwd=tmp_path, env=environment)
