"""Settings of the tests of the layer."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import keras
import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keras asks for NumPy arrays in a way that NumPy 2 calls outdated (JAX, PyTorch)."""
    item.add_marker(
        pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    )


@pytest.fixture(autouse=True, scope="module")
def _few_programs() -> Iterator[None]:
    """Drop what JAX has compiled for a file: the system bounds the memory maps of a process."""
    yield
    if keras.backend.backend() == "jax":
        import jax

        jax.clear_caches()
        gc.collect()
