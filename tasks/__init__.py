"""The tasks that a model can be trained on. This package imports NumPy only."""

from __future__ import annotations

from tasks.associative_recall import AssociativeRecall
from tasks.base import Task
from tasks.batch import Batch
from tasks.cases import format_case
from tasks.copy import Copy
from tasks.ngrams import NGrams, optimal_probabilities
from tasks.priority_sort import PrioritySort
from tasks.repeat_copy import RepeatCopy

__all__ = [
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
