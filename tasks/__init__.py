"""The tasks that a model can be trained on, by name. This package imports NumPy only."""

from __future__ import annotations

from tasks.base import Batch, Task
from tasks.copy import Copy

TASKS: dict[str, type[Task]] = {
    "copy": Copy,
}

__all__ = ["TASKS", "Batch", "Copy", "Task"]
