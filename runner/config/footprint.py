"""How much memory a run will take, worked out from its configuration before anything is made.

What is counted is certain to be there at once, so the sum is rather too small than too large: what
TensorFlow takes for itself (1.2 GB with its compiler) and short-lived copies are left out. Numbers
are bytes of float32 unless they say otherwise.
"""

from __future__ import annotations

import itertools
import math
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from runner.config.schema import cases_from, task_from
from runner.config.targets import TARGET
from runner.errors import ConfigError
from runner.training import cores
from runner.training.data import AHEAD, TOGETHER
from tasks import NGrams, Task

FLOAT = 4
# As in `runner.training.sharding` and `runner.training.weight_noise`.
SHARD_SEQUENCES, NOISE_TABLE, TABLE_RATIO = 64, 2**22, 8
# Arrays as large as the weights that every training has: the model's, the trained vector, its
# gradient and a copy before the update; so many more for each of the optimizer's own.
COPIES, COPIES_OF_SLOT = 4, 2
# The noise on the weights is drawn whole: the numbers, their multiples and where they are kept.
COPIES_OF_TABLE = 3
# An LSTM layer of the baseline keeps so many numbers a unit and step for its gradient.
LSTM_KEPT = 8
# Functions whose weights are counted.
LSTM, FEEDFORWARD = "controllers.lstm", "controllers.feedforward"
LONGEST_VALUE = 80  # characters in a message
LARGEST_EXPONENT = 200  # 2^context of n-grams is beyond every memory long before


class Part(NamedTuple):
    """Some of the memory: what it is for, its bytes, and the keys whose values make it."""

    what: str
    bytes: int
    keys: tuple[str, ...]


def check(config: Any) -> None:
    """Raise ConfigError for a run that takes more memory than the machine has free.

    With a GPU only what stays on the host is compared: how much a GPU has is not known here.
    """
    needed = parts(config)
    total, there = sum(part.bytes for part in needed), available()
    if there is not None and total > there:
        raise ConfigError(
            f"{in_words(config)} This machine has {_size(there)} free. Make one of these values "
            "smaller."
        )


def in_words(config: Any) -> str:
    """The estimate, its largest part and the values that make it, as a sentence."""
    needed = parts(config)
    largest = max(needed, key=lambda part: part.bytes)
    return (
        f"The run takes about {_size(sum(part.bytes for part in needed))} of memory beside "
        f"TensorFlow's own, of which {_size(largest.bytes)} for {largest.what}: "
        f"{', '.join(_stated(config, largest.keys))}."
    )


def parts(config: Any) -> list[Part]:
    """What the memory of a run is for."""
    task = task_from(config)
    sizes = tuple(
        f"task.{key}"
        for key in config.task
        if key.startswith("max_") or key in ("item_length", "bits", "context", "targets")
    )
    found = [] if config.mode == "show" else [*_evaluation(config, task, sizes)]
    if config.mode == "train":
        found += [*_training(config, task, sizes)]
    if not _on_gpu(config):
        found += [_weights(config, task)]
    return found


def available() -> int | None:
    """Bytes that this process may still take; None where the system does not say.

    The least of what is free, of what its control groups allow and of its own limits.
    """
    limits = [*_free(), *_group_limits()]
    for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        if soft != resource.RLIM_INFINITY:
            limits.append(soft)
    return min(limits, default=None)


def _training(config: Any, task: Task, sizes: tuple[str, ...]) -> Iterator[Part]:
    batch, steps = config.trainer.batch_size, task.max_steps
    one = steps * (FLOAT * (task.input_dim + 2 * task.output_dim) + 1) + _table(task)
    drawn = TOGETHER * (AHEAD + 1) * batch * one
    yield Part("training batches, drawn ahead", drawn, ("trainer.batch_size", *sizes))
    if _on_gpu(config):
        return
    at_once = _at_once(batch, config.trainer.shards)
    if config.model.name == "ntm":
        segment = config.ntm.gradient_checkpointing
        kept = segment + math.ceil(steps / segment) if segment else steps
        held = kept * _state(config, task) + steps * (task.input_dim + task.output_dim)
        keys: tuple[str, ...] = ("ntm.n_width", "ntm.m_depth", "ntm.read_heads", "ntm.write_heads")
        keys += (*_unit_keys(config), *(("ntm.gradient_checkpointing",) if segment else ()))
    elif config.model.name == "lstm":
        held = steps * LSTM_KEPT * (sum(config.model.units) + task.output_dim)
        keys = ("model.units",)
    else:
        held = steps * sum(config.model.units)
        keys = ("model.units",)
    what = "the states that a training step keeps"
    yield Part(what, at_once * FLOAT * held, ("trainer.batch_size", *sizes, *keys))


def _evaluation(config: Any, task: Task, sizes: tuple[str, ...]) -> Iterator[Part]:
    batch, cases = config.evaluate.batch_size, cases_from(config, task)
    steps = max(task.steps(**task.parse_case(case)) for case in cases)
    where = ("evaluate.cases",) if config.evaluate.cases else sizes
    # Inputs, targets, weights and probabilities, and the costs of bits in float64.
    one = steps * (FLOAT * (task.input_dim + 3 * task.output_dim) + 3 * 8 * task.output_dim)
    one += _table(task)
    scores = 3 * 8 * config.evaluate.sequences
    of_scores: tuple[str, ...] = ("evaluate.sequences",)
    if config.trainer.verbose:
        of_scores += where
        scores += 2 * 3 * FLOAT * steps * task.output_dim * config.evaluate.sequences
    yield Part("the batches of an evaluation", batch * one, ("evaluate.batch_size", *where))
    yield Part("the scores of an evaluation", scores, of_scores)
    if config.model.name != "ntm":
        return
    keys = (*where, "ntm.n_width", "ntm.m_depth")
    shown = task.solved_case() if task.solved_case() in cases else cases[0]
    traced = task.steps(**task.parse_case(shown)) * config.ntm.n_width * config.ntm.m_depth
    yield Part("the memory at every step of a figure", 2 * FLOAT * traced, keys)
    if not _on_gpu(config):
        states = 2 * FLOAT * _at_once(batch, config.trainer.shards) * _state(config, task)
        yield Part("the states of an evaluation", states, ("evaluate.batch_size", *keys))


def _at_once(batch: int, shards: int | None) -> int:
    """Sequences whose states are there at the same time: a core has one shard at a time."""
    share = cores.share()
    if shards is None:
        return min(batch, share * SHARD_SEQUENCES)
    return math.ceil(batch * min(1, share / shards))


def _table(task: Task) -> int:
    """Bytes of a sequence's table of probabilities, float64."""
    return 8 * 2 ** min(task.context, LARGEST_EXPONENT) if isinstance(task, NGrams) else 0


def _state(config: Any, task: Task) -> int:
    """Numbers that the machine carries from step to step for a sequence."""
    ntm = config.ntm
    heads = ntm.read_heads + ntm.write_heads
    own = ntm.n_width * (ntm.m_depth + heads) + ntm.read_heads * ntm.m_depth + task.output_dim
    recurrent = sum(config.controller.units) if _controller(config) == LSTM else 0
    return int(own + 2 * recurrent + 2 * ntm.readout_units)


def _weights(config: Any, task: Task) -> Part:
    count = weights(config, task)
    copies = 2.0
    if config.mode == "train":
        optimizer, trainer = config.optimizer, config.trainer
        if optimizer.name == "adam":
            slots = 2 + optimizer.amsgrad
        else:
            slots = 1 + (optimizer.momentum > 0) + optimizer.centered
        copies = COPIES + COPIES_OF_SLOT * slots + (trainer.ema_decay is not None)
    table = 0
    if config.mode == "train" and config.trainer.weight_noise is not None:
        table = COPIES_OF_TABLE * max(NOISE_TABLE, TABLE_RATIO * count)
    keys = _unit_keys(config)
    if config.model.name == "ntm":
        keys += ("ntm.m_depth", "ntm.read_heads", "ntm.write_heads", "ntm.shift_range")
        keys += ("ntm.readout_units",)
    keys += tuple(key for key in ("task.bits",) if OmegaConf.select(config, key) is not None)
    return Part("the weights and what trains them", FLOAT * int(copies * count + table), keys)


def weights(config: Any, task: Task) -> int:
    """Trainable weights of the model."""
    if config.model.name == "lstm":
        return _lstm(task.input_dim, [*config.model.units, task.output_dim])
    if config.model.name == "dense":
        return _dense([task.input_dim, *config.model.units, task.output_dim])
    ntm = config.ntm
    heads, reads = ntm.read_heads + ntm.write_heads, ntm.read_heads * ntm.m_depth
    seen = task.input_dim + reads
    # Key, strength, gate, shifts and sharpness of each head; erase and add of each write head.
    out = task.output_dim + heads * (ntm.m_depth + ntm.shift_range + 3)
    out += 2 * ntm.write_heads * ntm.m_depth
    features, controller = seen, config.controller
    if _controller(config) == LSTM:
        features, count = controller.units[-1], _lstm(seen, controller.units)
        count += _dense([features, out])
    elif _controller(config) == FEEDFORWARD:
        features, count = controller.units, _dense([seen, controller.units, out])
    else:
        count = _dense([seen, out])
    if ntm.read_to_output:
        count += reads * task.output_dim
    if ntm.readout_units:
        count += _lstm(seen + features, [ntm.readout_units])
        count += ntm.readout_units * task.output_dim
    return count


def _dense(widths: Sequence[int]) -> int:
    return sum((before + 1) * after for before, after in itertools.pairwise(widths))


def _lstm(width: int, units: Sequence[int]) -> int:
    pairs = itertools.pairwise([width, *units])
    return sum(4 * after * (before + after + 1) for before, after in pairs)


def _unit_keys(config: Any) -> tuple[str, ...]:
    if config.model.name != "ntm":
        return ("model.units",)
    return ("controller.units",) if _controller(config) in (LSTM, FEEDFORWARD) else ()


def _controller(config: Any) -> str:
    """The function that makes the controller; of one that is not ours, one layer is counted."""
    return str(config.controller[TARGET])


def _on_gpu(config: Any) -> bool:
    """Whether states are likely to be on a GPU, as far as that shows without TensorFlow."""
    driver = Path("/proc/driver/nvidia/gpus")
    return config.device == "gpu" or (config.device == "auto" and driver.is_dir())


def _stated(config: Any, keys: Sequence[str]) -> list[str]:
    """The first of the keys and the two others with the largest values, as one would state them."""
    first, *others = keys
    others.sort(key=lambda key: _magnitude(OmegaConf.select(config, key)), reverse=True)
    return [f"{key}={_value(config, key)}" for key in (first, *others[:2])]


def _value(config: Any, key: str) -> str:
    value = OmegaConf.select(config, key)
    text = str(value) if isinstance(value, int | str) else f"[{','.join(map(str, value))}]"
    return text if len(text) < LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _magnitude(value: Any) -> float:
    """How large a whole number or the largest of a list is; cases go first."""
    if isinstance(value, int):
        return value
    return max((item if isinstance(item, int) else math.inf for item in value), default=0)


def _size(count: int) -> str:
    """Bytes for a person, such as 1.3 GB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB")):
        if count >= unit:
            return f"{count / unit:,.1f} {name}"
    return f"{math.ceil(count / 1e6):,} MB"


def _free() -> Iterator[int]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return
    known = {
        name: int(rest.split()[0]) << 10 for name, _, rest in (x.partition(":") for x in lines)
    }
    if "MemAvailable" in known:
        yield known["MemAvailable"] + known.get("SwapFree", 0)


def _group_limits() -> Iterator[int]:
    """The limits of this process's control groups and those above them, of both versions."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = Path("/sys/fs/cgroup") / ("memory" if controllers else "")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        here = root / path.lstrip("/")
        for folder in (here, *here.parents):
            if folder.is_relative_to(root):
                yield from _number(folder / name)


def _number(path: Path) -> Iterator[int]:
    try:
        yield int(path.read_text())
    except (OSError, ValueError):  # No such limit, or "max".
        return
