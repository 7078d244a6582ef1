"""The tasks that a model can be trained on, by name. This package imports NumPy only."""

from __future__ import annotations

from tasks.associative_recall import AssociativeRecall
from tasks.base import Batch, Task, format_case
from tasks.copy import Copy
from tasks.ngrams import NGrams, optimal_probabilities
from tasks.priority_sort import PrioritySort
from tasks.repeat_copy import RepeatCopy

TASKS: dict[str, type[Task]] = {
    "copy": Copy,
    "repeat_copy": RepeatCopy,
    "associative_recall": AssociativeRecall,
    "ngrams": NGrams,
    "priority_sort": PrioritySort,
}

__all__ = [
    "TASKS",
    "AssociativeRecall",
    "Batch",
    "Copy",
    "NGrams",
    "PrioritySort",
    "RepeatCopy",
    "Task",
    "format_case",
    "optimal_probabilities",
]
