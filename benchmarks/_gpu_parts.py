"""What `gpu.py` measures, a part in each process: `python _gpu_parts.py FUNCTION JSON`.

Each line printed is a JSON object, so that what was measured stays when the process is ended.
`KERAS_BACKEND` says which backend the layer is on.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import _common as common
import numpy as np

from tasks import Batch, Copy

INPUTS, OUTPUTS, UNITS, RATE = 10, 8, 100, 3e-3
# Seconds that one timed round takes at least, if so many updates are enough.
ROUND_SECONDS, MOST_UPDATES = 0.3, 50
# Between the processor's values and the card's, as a share of the largest number of an array.
# float32 rounds to 6e-8; two backends on one processor differ by up to 1e-6 of it after twenty
# steps, and by 1e-5 in the gradients of the dense machine, whose heads are sharp. TF32 rounds what
# it multiplies to 5e-4.
TOLERANCE = 1e-4

# Controller, heads and shifts, whether sequences are masked, and other arguments of the layer.
MACHINES: dict[str, tuple[str, tuple[int, int, int], bool, dict[str, Any]]] = {
    "mask, backwards, states": (
        "lstm",
        (1, 1, 3),
        True,
        {"go_backwards": True, "return_state": True},
    ),
    "2 read, 3 write heads": ("double_dense", (2, 3, 3), False, {}),
    "LSTM": ("lstm", (1, 1, 3), False, {}),
    "dense": ("dense", (1, 1, 3), False, {"sharpness_offset": 2.0, "row_codes": 0.5}),
    "4 shifts": ("lstm", (1, 1, 4), False, {"read_to_output": False, "readout_units": 8}),
    "mask, zeros put out": ("lstm", (1, 2, 3), True, {"zero_output_for_mask": True}),
}


class Contestant(NamedTuple):
    """A training step. update: one more, the loss before it; finish: waits; peak: bytes."""

    update: Callable[[], Any]
    finish: Callable[[], Any]
    peak: Callable[[], int | None]


def values(file: str, machines: int, steps: int, batch: int) -> Iterator[dict[str, Any]]:
    """Write outputs and gradients of the first so many machines to a file of NumPy arrays."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(batch, steps, INPUTS)).astype("float32")
    # Some begin late, some end early.
    first, last = rng.integers(0, 3, (batch, 1)), steps - rng.integers(0, 3, (batch, 1))
    mask = (np.arange(steps) >= first) & (np.arange(steps) < last)
    arrays = {}
    for name, (kind, heads, masked, arguments) in list(MACHINES.items())[:machines]:
        layer = _layer(kind, heads, **arguments)
        layer.set_weights(_random_weights([w.shape for w in layer.get_weights()]))
        outputs, gradients = _outputs_and_gradients(layer, inputs, mask if masked else None)
        arrays |= {f"{name}/outputs/{i}": array for i, array in enumerate(outputs)}
        arrays |= {f"{name}/gradients/{i}": array for i, array in enumerate(gradients)}
        # Whole or not at all: the process may be stopped.
        np.savez(f"{file}.part.npz", **arrays)
        os.replace(f"{file}.part.npz", file)
        yield {"machine": name, "device": _device()}


def compare(file: str, reference: str) -> Iterator[dict[str, Any]]:
    """Largest differences between two files of `values`, for each machine that is in both."""
    with np.load(file) as found, np.load(reference) as expected:
        for machine in dict.fromkeys(key.partition("/")[0] for key in found if key in expected):
            row: dict[str, Any] = {"machine": machine, "tolerance": TOLERANCE, "passed": True}
            for kind in ("outputs", "gradients"):
                pairs = [
                    (found[key], expected[key])
                    for key in found
                    if key.startswith(f"{machine}/{kind}/")
                ]
                absolute = [float(np.abs(one - other).max()) for one, other in pairs]
                relative = [
                    worst / max(float(np.abs(other).max()), 1e-30)
                    for worst, (_, other) in zip(absolute, pairs, strict=True)
                ]
                # NumPy's maximum keeps what is not a number, and that never passes.
                row[kind] = {
                    "absolute": float(np.max(absolute)),
                    "relative": float(np.max(relative)),
                }
                row["passed"] &= row[kind]["relative"] <= TOLERANCE
            yield row


def step(
    contestant: str, batches: list[int], length: int, rounds: int, at_once: int, lock: str
) -> Iterator[dict[str, Any]]:
    """Time one training step at each batch size, the smallest first: memory is that of the peak."""
    for batch in batches:
        sample = _copy_task(length).sample(np.random.default_rng(0), batch, length=length)
        began = time.perf_counter()
        made = CONTESTANTS[contestant](sample, at_once)
        loss = float(made.update())
        made.finish()
        ready = time.perf_counter() - began
        made.update()  # Not timed: some compile once more when they are called again.
        made.finish()
        with _alone(lock):
            seconds = _median_seconds(made, rounds)
        yield {
            "batch": batch,
            "device": _device(),
            "loss": loss,
            "ready_seconds": ready,
            "ms": 1e3 * seconds,
            "sequences_per_second": batch / seconds,
            "peak_bytes": made.peak(),
        }
        del made
        _release()


def copy(
    seconds: float, batch: int, updates: int, length: int, sequences: int, lock: str
) -> Iterator[dict[str, Any]]:
    """Train the machine on copying with JAX until no bit is wrong, or for so many seconds."""
    from _jax_copy import Learner

    task, rng, fresh = _copy_task(length), np.random.default_rng(0), np.random.default_rng(1)
    layer = _machine()
    learner = Learner(layer, RATE)

    def wrong_bits(size: int) -> float:
        return learner.wrong_bits(task.sample(fresh, sequences, length=size)) / sequences

    def several() -> Batch:
        drawn = task.training_sample(rng, batch, np.ones(updates))
        return Batch(*(a.reshape(updates, batch, *a.shape[1:]) for a in drawn[:4]), None)

    began = time.perf_counter()
    learner.compile(several())
    wrong_bits(length)
    ready = time.perf_counter() - began
    spent, made, wrong = 0.0, 0, float("inf")
    while wrong and spent < seconds:
        batches = several()
        with _alone(lock):
            began = time.perf_counter()
            learner.train(batches)
            wrong = wrong_bits(length)
            spent += time.perf_counter() - began
        made += updates
    yield {
        "device": _device(),
        "ready_seconds": ready,
        "seconds": spent,
        "updates": made,
        "sequences": made * batch,
        "solved": not wrong,
        "wrong_bits_per_sequence": {str(n): wrong_bits(n) for n in (length, 2 * length)},
    }


def _copy_task(length: int) -> Copy:
    return Copy(
        name="copy",
        lengths="batch",
        bits=OUTPUTS,
        zero_rate=0.1,
        near_duplicate_rate=0.1,
        min_length=1,
        max_length=length,
    )


def _layer(kind: str, heads: tuple[int, int, int], **arguments: Any) -> Any:
    import controllers
    from ntm import NeuralTuringMachine, controller_input_output_shape

    read, write, shifts = heads
    widths = controller_input_output_shape(
        INPUTS, OUTPUTS, common.COLUMNS, common.ROWS, shifts, read, write
    )
    controller = {
        "lstm": lambda: controllers.lstm(*widths, units=[UNITS]),
        "dense": lambda: controllers.dense(*widths),
        "double_dense": lambda: controllers.double_dense(*widths, units=UNITS, activation="tanh"),
    }[kind]()
    layer = NeuralTuringMachine(
        OUTPUTS,
        n_width=common.ROWS,
        m_depth=common.COLUMNS,
        shift_range=shifts,
        controller_model=controller,
        read_heads=read,
        write_heads=write,
        return_sequences=True,
        gate_offset=common.GATE_OFFSET,
        **arguments,
    )
    layer.build((None, None, INPUTS))
    return layer


def _machine() -> Any:
    """The default machine: what the ones written by hand are, too."""
    import keras

    keras.utils.set_random_seed(0)
    return _layer("lstm", (1, 1, common.SHIFTS))


def _shapes() -> list[tuple[int, ...]]:
    """Of the default machine's weights, in their order."""
    heads = 2 * (common.COLUMNS + 3 + common.SHIFTS) + 2 * common.COLUMNS
    put_out = OUTPUTS + heads
    return [
        (INPUTS + common.COLUMNS, 4 * UNITS),
        (UNITS, 4 * UNITS),
        (4 * UNITS,),
        (UNITS, put_out),
        (put_out,),
        (common.COLUMNS, OUTPUTS),
    ]


def _random_weights(shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Large enough for heads that move, blur and sharpen; the same on every backend and device."""
    rng = np.random.default_rng(0)
    return [(rng.normal(size=shape) / shape[0] ** 0.5).astype("float32") for shape in shapes]


def _outputs_and_gradients(layer: Any, inputs: Any, mask: Any) -> tuple[list[Any], list[Any]]:
    """All that a layer puts out, and gradients of its weights and inputs of one sum over that."""
    import keras
    from keras import ops

    def weighed(outputs: Any) -> Any:
        rng = np.random.default_rng(2)
        factors = [rng.normal(size=o.shape).astype("float32") for o in outputs]
        return sum(ops.sum(ops.multiply(o, f)) for o, f in zip(outputs, factors, strict=True))

    if keras.backend.backend() == "torch":
        seen = ops.convert_to_tensor(inputs).requires_grad_()
        outputs = keras.tree.flatten(layer(seen, mask=mask))
        weighed(outputs).backward()
        gradients = [v.value.grad for v in layer.trainable_variables] + [seen.grad]
        return [o.detach().cpu().numpy() for o in outputs], [g.cpu().numpy() for g in gradients]
    import jax

    def loss(weights: Any, seen: Any) -> Any:
        others = [v.value for v in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(weights, others, seen, mask=mask)
        outputs = keras.tree.flatten(outputs)
        return weighed(outputs), outputs

    weights = [v.value for v in layer.trainable_variables]
    with jax.default_matmul_precision("highest"):
        run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        (_, outputs), (of_weights, of_inputs) = run(weights, jax.numpy.asarray(inputs))
    return [np.asarray(o) for o in outputs], [np.asarray(g) for g in [*of_weights, of_inputs]]


def _jax_layer(sample: Batch, _: int) -> Contestant:
    import _jax_layer
    import jax
    import keras

    layer, optimizer = _machine(), keras.optimizers.Adam(RATE)
    layer.set_weights(_random_weights(_shapes()))
    run = jax.jit(_jax_layer.updates(layer, optimizer), donate_argnums=0)
    state = _jax_layer.new_state(layer, optimizer)
    return _jax_contestant(run, state, (*sample[:3], None))


def _jax_scan(sample: Batch, _: int) -> Contestant:
    import _jax_machine

    def run(state: Any, batch: Any) -> Any:
        return _jax_machine.train(state, batch, RATE)

    state = _jax_machine.new_state(_random_weights(_shapes()))
    return _jax_contestant(run, state, (*sample[:3], None))


def _jax_contestant(run: Callable[[Any, Any], Any], state: Any, batch: Any) -> Contestant:
    import jax

    batch = jax.device_put(batch)

    def update() -> Any:
        nonlocal state
        state, loss = run(state, batch)
        return loss

    def peak() -> int | None:
        return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")

    return Contestant(update, lambda: jax.block_until_ready(state), peak)


def _torch_layer(sample: Batch, _: int, compiled: bool = False) -> Contestant:
    import _torch_layer
    import keras

    layer = _machine()
    layer.set_weights(_random_weights(_shapes()))
    return _torch_contestant(
        _torch_layer.Training(layer, keras.optimizers.Adam(RATE), compiled), sample
    )


def _torch_by_hand(sample: Batch, at_once: int, compiled: bool = False) -> Contestant:
    import _torch_machine

    training = _torch_machine.Training(
        _random_weights(_shapes()), RATE, at_once, compiled, _torch_device()
    )
    return _torch_contestant(training, sample)


def _torch_contestant(training: Any, sample: Batch) -> Contestant:
    import torch

    batch = [torch.tensor(array, device=_torch_device()) for array in sample[:3]]
    on_card = _torch_device() == "cuda"
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    return Contestant(
        lambda: training.update(batch).detach(),
        torch.cuda.synchronize if on_card else lambda: None,
        torch.cuda.max_memory_allocated if on_card else lambda: None,
    )


CONTESTANTS: dict[str, Callable[[Batch, int], Contestant]] = {
    "layer on JAX": _jax_layer,
    "lax.scan by hand": _jax_scan,
    "layer on PyTorch": _torch_layer,
    "layer on PyTorch, compiled": lambda *given: _torch_layer(*given, compiled=True),
    "PyTorch by hand": _torch_by_hand,
    "PyTorch by hand, compiled": lambda *given: _torch_by_hand(*given, compiled=True),
}


def _median_seconds(made: Contestant, rounds: int) -> float:
    """Of one update, from rounds of as many as make a round long enough."""

    def seconds(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            made.update()
        made.finish()
        return (time.perf_counter() - began) / count

    count = max(1, min(MOST_UPDATES, round(ROUND_SECONDS / seconds(1))))
    return statistics.median(seconds(count) for _ in range(rounds))


@contextmanager
def _alone(lock: str) -> Iterator[None]:
    """While other processes compile, but measure nothing."""
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _torch_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _device() -> str:
    """What the backend computes on: gpu or cpu."""
    if os.environ["KERAS_BACKEND"] == "torch":
        return {"cuda": "gpu", "cpu": "cpu"}[_torch_device()]
    import jax

    return jax.default_backend()


def _release() -> None:
    """Give memory back, which processes beside this one may need."""
    gc.collect()
    if "torch" in sys.modules and _torch_device() == "cuda":
        sys.modules["torch"].cuda.empty_cache()


def main() -> None:
    function, arguments = sys.argv[1:]
    part = {"values": values, "compare": compare, "step": step, "copy": copy}[function]
    for row in part(**json.loads(arguments)):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
