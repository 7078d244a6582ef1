"""What a run is said to take: weights exactly, the rest by its equations; what is refused."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import numpy as np
import pytest

from runner.config import checks, footprint
from runner.config.schema import task_from
from runner.errors import ConfigError
from runner.training import build

from .conftest import Compose

MODELS = (
    ["controller=dense", "ntm.read_to_output=false"],
    ["controller=double_dense", "ntm.read_heads=3", "ntm.write_heads=2"],
    ["controller=lstm", "controller.units=[7,5]", "ntm.shift_range=4"],
    ["task=repeat_copy", "ntm.readout_units=6"],
    ["task=ngrams", "controller=dense", "ntm.readout_units=6"],
    ["model=lstm", "model.units=[9,4]"],
    ["model=dense", "model.units=[9,4]"],
)


@pytest.mark.parametrize("overrides", MODELS, ids=" ".join)
def test_the_weights_are_those_that_keras_counts(overrides: list[str], composed: Compose) -> None:
    config = composed(*overrides)
    task = task_from(config)
    model = build.model_from(config, task)
    sizes = [int(np.prod(variable.shape)) for variable in model.trainable_variables]
    assert footprint.weights(config, task) == sum(sizes)


def part(what: str, composed: Compose, *overrides: str) -> footprint.Part:
    [found] = [each for each in footprint.parts(composed(*overrides)) if what in each.what]
    return found


def test_states_are_kept_for_every_step_or_for_a_segment(composed: Compose) -> None:
    """Copying 49 vectors takes 100 steps; 10 segments of 10 keep 10 and 10 states."""
    sizes = ["task.max_length=49", "controller=dense", "ntm.n_width=1000", "trainer.batch_size=2"]
    memory, heads, reads, output, inputs = 1000 * 20, 2 * 1000, 20, 8, 10
    state = memory + heads + reads + output
    for given, kept in (
        (["ntm.gradient_checkpointing=null"], 100),
        (["ntm.gradient_checkpointing=10"], 20),
    ):
        expected = 2 * 4 * (kept * state + 100 * (inputs + output))
        assert part("training step", composed, *sizes, *given).bytes == expected


def test_as_many_batches_count_as_are_drawn_ahead(composed: Compose) -> None:
    """Sixteen at a time, two times in the queue and one being drawn."""
    found = part("ahead", composed, "task.max_length=49", "trainer.batch_size=3")
    assert found.bytes == 16 * 3 * 3 * 100 * (4 * (10 + 8 + 8) + 1)


def test_a_table_of_ngrams_grows_with_its_contexts(composed: Compose) -> None:
    given = ["task=ngrams", "trainer.batch_size=1", "task.context=20"]
    assert part("ahead", composed, *given).bytes > 16 * 3 * 8 * 2**20
    endless = composed("task=ngrams", "task.context=100000", "task.min_length=200000",
        "task.max_length=200000", "evaluate.cases=['length=200000']")  # fmt: skip
    with pytest.raises(ConfigError, match=r"task\.context=100000"):
        checks.validate(endless)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        (["trainer.batch_size=1000000000"], "trainer.batch_size=1000000000"),
        (["task.max_length=100000000"], "task.max_length=100000000"),
        (["controller.units=[5,1000000]"], "controller.units=[5,1000000]"),
        (["model=lstm", "model.units=[1000000]"], "model.units=[1000000]"),
        (["ntm.n_width=2000000000"], "ntm.n_width=2000000000"),
        (["ntm.m_depth=2000000"], "ntm.m_depth=2000000"),
        (["evaluate.batch_size=1000000000"], "evaluate.batch_size=1000000000"),
        (["evaluate.cases=['length=999999999']"], "evaluate.cases=[length=999999999]"),
        (["task.bits=1000000000"], "task.bits=1000000000"),
    ],
)  # fmt: skip
def test_what_no_machine_holds_is_refused_with_what_makes_it(
    overrides: list[str], named: str, composed: Compose
) -> None:
    with pytest.raises(ConfigError, match=re.escape(named)) as refused:
        checks.validate(composed(*overrides))
    assert re.search(r"takes about [\d,.]+ TB of memory", str(refused.value))
    assert "This machine has" in str(refused.value)


def test_it_is_compared_with_what_is_there(
    composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = composed()
    needed = sum(each.bytes for each in footprint.parts(config))
    monkeypatch.setattr(footprint, "available", lambda: needed)
    checks.validate(config)
    monkeypatch.setattr(footprint, "available", lambda: needed - 1)
    with pytest.raises(ConfigError, match="free"):
        checks.validate(config)
    checks.validate(config, here=False)
    monkeypatch.setattr(footprint, "available", lambda: None)
    checks.validate(config)


def test_the_least_limit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {resource.RLIMIT_AS: resource.RLIM_INFINITY, resource.RLIMIT_DATA: 500}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limits[kind], resource.RLIM_INFINITY))
    monkeypatch.setattr(footprint, "_free", lambda: iter([700]))
    monkeypatch.setattr(footprint, "_group_limits", lambda: iter([600, 900]))
    assert footprint.available() == 500
    limits[resource.RLIMIT_DATA] = resource.RLIM_INFINITY
    assert footprint.available() == 600


def test_the_limits_of_a_group_and_of_those_above_it_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "/proc/self/cgroup": "4:memory:/a/b\n3:cpu:/a\n0::/c\n",
        "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": "9223372036854771712\n",
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096\n",
        "/sys/fs/cgroup/c/memory.max": "max\n",
        "/sys/fs/cgroup/memory.max": "8192\n",
    }

    def read(path: Path) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    assert list(footprint._group_limits()) == [9223372036854771712, 4096, 8192]


def test_with_a_gpu_only_what_stays_on_the_host_counts(composed: Compose) -> None:
    on_gpu = {each.what for each in footprint.parts(composed("device=gpu"))}
    on_cpu = {each.what for each in footprint.parts(composed("device=cpu"))}
    assert on_gpu < on_cpu
    assert any("batches" in what for what in on_gpu)
    assert not any("states" in what or "weights" in what for what in on_gpu)


def test_amsgrad_keeps_one_more_number_a_weight(composed: Compose) -> None:
    config = composed()
    count = footprint.weights(config, task_from(config))
    without, with_it = (
        part("weights", composed, f"optimizer.amsgrad={given}").bytes for given in (False, True)
    )
    assert with_it - without == footprint.COPIES_OF_SLOT * 4 * count
