"""A batch in equal parts that are computed in parallel by the same compiled function.

On a CPU because XLA's code for one loop of small operations fills one core, on GPUs one part each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from runner.training import cores

# Sequences of a shard whose states a core's cache still holds: with 128 of them on a core with 512
# KB of its own a step takes 1.45 times as long as in two halves.
SHARD_SEQUENCES = 64


def usable_shards(batch_size: int, shards: int | None) -> int:
    """The number of equal shards, dividing the batch: at most `shards`.

    None: one a GPU; without one, one a core, or more where they would exceed `SHARD_SEQUENCES`.
    """
    gpus = len(tf.config.list_logical_devices("GPU"))
    most = shards or gpus or max(cores.share(), math.ceil(batch_size / SHARD_SEQUENCES))
    return max(count for count in range(1, min(most, batch_size) + 1) if batch_size % count == 0)


def each_shard(function: Callable[..., Any], arrays: Sequence[Any], shards: int) -> list[Any]:
    """What the function returns for each of so many equal parts of the arrays, in their order."""
    gpus = tf.config.list_logical_devices("GPU")
    results = []
    for index, shard in enumerate(zip(*(tf.split(a, shards) for a in arrays), strict=True)):
        with tf.device(gpus[index % len(gpus)].name if gpus else None):
            results.append(function(*shard))
    return results


def sums_over_shards(function: Callable[..., Any], arrays: Sequence[Any], shards: int) -> Any:
    """Sums and gradients added over the shards; the constants of the first."""
    results = each_shard(function, arrays, shards)
    sums, gradients, constants = zip(*results, strict=True)
    return _added(sums), _added(gradients), constants[0]


def _added(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [tf.add_n(list(same)) for same in zip(*parts, strict=True)]
