"""Who is told how a training goes."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Who is told how a training goes: the terminal and TensorBoard."""

    def trained(self, step: int, point: dict[str, float]) -> None:
        """A point of the training curve."""

    def evaluated(self, step: int, results: dict[str, dict[str, float]]) -> None:
        """The results of a scheduled evaluation."""

    def began_again(self, steps: int) -> None:
        """The training begins with other weights, and will end after so many steps in all."""

    def flush(self) -> None:
        """A checkpoint is about to be written: what was told before must not be lost after it."""
