"""The machine of `ntm/` in vectorised PyTorch: one head of each kind, an LSTM controller.

The shapes are those of the equations: memory (B, N, M), weightings (B, 2, N), the read head first.
"""

from __future__ import annotations

from typing import Any

import torch
from _common import BOUND, COLUMNS, FLOOR, GATE_OFFSET, INITIAL, ROWS, SHIFTS, SHORTEST
from torch.nn import functional


def length(vectors: Any) -> Any:
    return vectors.square().sum(-1).clamp(min=SHORTEST**2).sqrt()


def address(memory: Any, previous: Any, key: Any, scalars: Any, shifts: Any) -> Any:
    """Equations 5 to 9 for both heads. scalars: strength, gate and sharpness, each (B, 2, 1)."""
    strength, gate, sharpness = scalars
    products = key @ memory.transpose(1, 2)
    similarity = products / (length(memory)[:, None] * length(key)[..., None])
    content = torch.softmax(strength * similarity, -1)
    gated = gate * content + (1 - gate) * previous
    shifted = sum(
        shifts[..., j : j + 1] * torch.roll(gated, j - SHIFTS // 2, -1) for j in range(SHIFTS)
    )
    return torch.softmax(sharpness * torch.log(shifted + FLOOR), -1)


def lstm(kernel: Any, recurrent: Any, bias: Any, seen: Any, hidden: Any, cell: Any) -> Any:
    gates = seen @ kernel + hidden @ recurrent + bias
    enter, forget, new, leave = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


def step(weights: Any, carry: Any, seen: Any) -> Any:
    *recurrent, dense, dense_bias, projection = weights
    memory, previous, reads, hidden, cell = carry
    hidden, cell = lstm(*recurrent, torch.cat([seen, reads], -1), hidden, cell)
    instructions = hidden @ dense + dense_bias
    bits = projection.shape[1]
    output, raw = instructions[:, :bits], instructions[:, bits:].clamp(-BOUND, BOUND)
    sizes = (2 * COLUMNS, 2, 2, 2 * SHIFTS, 2, COLUMNS, COLUMNS)
    *heads, erase, add = raw.split(sizes, -1)
    key, strength, gate, shifts, sharpness = (p.reshape(len(p), 2, -1) for p in heads)
    scalars = (
        functional.softplus(strength),
        torch.sigmoid(gate - GATE_OFFSET),
        1 + functional.softplus(sharpness),
    )
    focus = address(memory, previous, torch.tanh(key), scalars, torch.softmax(shifts, -1))
    reads = (focus[:, :1] @ memory)[:, 0]
    write = focus[:, 1, :, None]
    memory = memory * (1 - write * torch.sigmoid(erase)[:, None]) + write * add[:, None]
    return (memory, focus, reads, hidden, cell), output + reads @ projection


def steps(weights: Any, carry: Any, inputs: Any) -> Any:
    """Some steps in a row, as one program to compile."""
    outputs = []
    for seen in inputs.unbind(1):
        carry, output = step(weights, carry, seen)
        outputs.append(output)
    return carry, torch.stack(outputs, 1)


def loss(
    some_steps: Any, at_once: int, weights: Any, inputs: Any, targets: Any, counts: Any
) -> Any:
    """Mean cross-entropy of the bits that count.

    some_steps: `steps`, or what it was compiled to; it is called for `at_once` steps at a time.
    """
    batch, units = len(inputs), weights[1].shape[0]
    first_row = inputs.new_zeros(batch, 2, ROWS)
    first_row[:, :, 0] = 1
    carry = (
        inputs.new_full((batch, ROWS, COLUMNS), INITIAL),
        first_row,
        inputs.new_full((batch, COLUMNS), INITIAL),
        inputs.new_zeros(batch, units),
        inputs.new_zeros(batch, units),
    )
    outputs = []
    for part in inputs.split(at_once, 1):
        carry, output = some_steps(weights, carry, part)
        outputs.append(output)
    return cross_entropy(torch.cat(outputs, 1), targets, counts)


def cross_entropy(logits: Any, targets: Any, counts: Any) -> Any:
    """Mean over the bits that count."""
    costs = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (costs * counts).sum() / counts.sum()


class Training:
    """Gradients and Adam updates of one machine, on the device of its batches.

    Args:
        weights: arrays that it begins with.
        rate: of Adam.
        at_once: time steps that are one program if compiled.
        compiled: run them under `torch.compile`.
        device: of PyTorch.
    """

    def __init__(
        self, weights: Any, rate: float, at_once: int, compiled: bool, device: str = "cpu"
    ) -> None:
        self.parameters = [torch.tensor(w, requires_grad=True, device=device) for w in weights]
        self.optimizer = torch.optim.Adam(self.parameters, lr=rate)
        self.some_steps = torch.compile(steps) if compiled else steps
        self.at_once = at_once

    def gradients(self, batch: Any) -> Any:
        """The loss; its gradients are those of `parameters` then. batch: as `loss` takes it."""
        self.optimizer.zero_grad()
        value = loss(self.some_steps, self.at_once, self.parameters, *batch)
        value.backward()
        return value

    def update(self, batch: Any) -> Any:
        """One step of Adam; the loss before it."""
        value = self.gradients(batch)
        self.optimizer.step()
        return value
