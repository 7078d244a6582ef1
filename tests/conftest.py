"""Settings of all tests."""

import gc
from pathlib import Path

from runner.training import compiled

# Jobs in this process and in others find what an earlier test, or an earlier session, compiled.
# TensorFlow reads where as soon as a test's module computes anything.
compiled.keep(str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "ntm"))


def pytest_collection_finish() -> None:
    """Collect no garbage in what imports have left, as in a run (`runner.config.startup`).

    It is most of a process, and going through it took a fifth of the tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
