"""Settings of the tests of the layer."""

from __future__ import annotations

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keras asks for NumPy arrays in a way that NumPy 2 calls outdated (JAX, PyTorch)."""
    item.add_marker(
        pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
    )
