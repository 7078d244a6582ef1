"""Settings of all tests."""

import gc


def pytest_collection_finish() -> None:
    """Collect no garbage in what imports have left, as in a run (`runner.config.startup`).

    It is most of a process, and going through it took a fifth of the tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
