"""Settings of all tests."""

import gc
from pathlib import Path

import pytest

from runner.training import compiled

# Jobs in this process and in others find what an earlier test, or an earlier session, compiled.
# TensorFlow reads where as soon as a test's module computes anything.
compiled.keep(str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "ntm"))


# Files that train the same small machine, whose compiled programs one process shares.
SAME_MACHINE = {f"test_{name}.py" for name in ("damaged", "job", "machine", "restart", "ship")}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process run a file (`--dist loadgroup`), and one those of `SAME_MACHINE`."""
    for item in items:
        same = item.path.name in SAME_MACHINE and item.path.parent.name == "runner"
        item.add_marker(pytest.mark.xdist_group("same machine" if same else str(item.path)))


def pytest_collection_finish() -> None:
    """Collect no garbage in what imports have left, as in a run (`runner.config.startup`).

    It is most of a process, and going through it took a fifth of the tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
