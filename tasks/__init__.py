"""The tasks that a model can be trained on, by name. This package imports NumPy only."""

from __future__ import annotations

from tasks.associative_recall import AssociativeRecall
from tasks.base import Batch, Task
from tasks.copy import Copy
from tasks.priority_sort import PrioritySort
from tasks.repeat_copy import RepeatCopy

TASKS: dict[str, type[Task]] = {
    "copy": Copy,
    "repeat_copy": RepeatCopy,
    "associative_recall": AssociativeRecall,
    "priority_sort": PrioritySort,
}

__all__ = ["TASKS", "AssociativeRecall", "Batch", "Copy", "PrioritySort", "RepeatCopy", "Task"]
