"""Training the layer with Keras on PyTorch."""

from __future__ import annotations

from typing import Any

import torch
from _torch_machine import cross_entropy


class Training:
    """Updates of a built layer by a Keras optimizer.

    compiled: run a time step of the cell under `torch.compile`.
    """

    def __init__(self, layer: Any, optimizer: Any, compiled: bool) -> None:
        self.layer, self.optimizer = layer, optimizer
        optimizer.build(layer.trainable_variables)
        if compiled:
            layer.cell.call = torch.compile(layer.cell.call)

    def update(self, batch: Any) -> Any:
        """One update; the loss before it. batch: inputs, targets, weights."""
        inputs, targets, counts = batch
        self.layer.zero_grad()
        loss = cross_entropy(self.layer(inputs, training=True), targets, counts)
        loss.backward()
        variables = self.layer.trainable_variables
        with torch.no_grad():
            self.optimizer.apply([variable.value.grad for variable in variables], variables)
        return loss
