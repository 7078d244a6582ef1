"""A saved model as a file: whether it can be used, known without TensorFlow."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from runner.store.files import damage

WEIGHTS = "model.weights.h5"  # in the archive that a saved model is


def fault(path: Path) -> str | None:
    """Why a saved model cannot be used, None if nothing speaks against it.

    It was cut short or changed, or holds weights that are not finite.
    """
    return damage(path) or _weights_not_finite(path)


def _weights_not_finite(path: Path) -> str | None:
    import h5py  # Only for a command that names a model.

    found: list[str] = []

    def look(name: str, item: Any) -> None:
        numbers = isinstance(item, h5py.Dataset) and item.dtype.kind == "f"
        if numbers and not np.isfinite(item[()]).all():
            found.append(name)

    with zipfile.ZipFile(path) as archive:
        if WEIGHTS not in archive.namelist():
            return None
        content = io.BytesIO(archive.read(WEIGHTS))
    try:
        with h5py.File(content, "r") as file:
            file.visititems(look)
    except OSError as error:
        return str(error).partition("\n")[0]
    return f"its weights {found[0]} are not finite" if found else None
