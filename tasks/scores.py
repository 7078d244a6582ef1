"""How far predicted bits are from a batch's targets."""

from __future__ import annotations

import numpy as np

from tasks.batch import Batch, BoolArray, FloatArray

SMALLEST_PROBABILITY = 1e-7


def wrong_bits(batch: Batch, probabilities: FloatArray) -> BoolArray:
    """Where (B, T, output_dim) the predicted bit differs from the target, loss mask aside."""
    right = np.where(batch.targets > 0.5, probabilities > 0.5, probabilities <= 0.5)
    return np.logical_not(right)


def cross_entropy_bits(batch: Batch, probabilities: FloatArray) -> FloatArray:
    """Cost in bits (B, T, output_dim) of each target bit, loss mask aside, in float64.

    Probabilities are kept at least 1e-7 from 0 and 1, so that no bit costs more than 23.3.
    """
    predicted = np.asarray(probabilities, dtype=np.float64)
    of_target = np.where(batch.targets > 0.5, predicted, 1 - predicted)
    cost: FloatArray = -np.log2(np.clip(of_target, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return cost
