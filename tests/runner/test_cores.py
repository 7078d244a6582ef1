"""A job takes no more cores than the machine, a scheduler and its launcher give it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from runner.training import cores


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of eight cores without limits; its file system is the folder returned."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr(cores, "SYSTEM", tmp_path)
    return tmp_path


def launch(launcher: dict[str, Any], monkeypatch: pytest.MonkeyPatch, mode: RunMode) -> None:
    config = OmegaConf.create({"launcher": launcher, "mode": mode})
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: config)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text + "\n")


def test_without_hydra_all_cores_are_used() -> None:
    assert cores.share() == 8


@pytest.mark.parametrize(
    ("launcher", "expected"),
    [
        ({}, 8),
        ({"n_jobs": 1}, 8),
        ({"n_jobs": 2}, 4),
        ({"n_jobs": 3}, 2),
        ({"n_jobs": 20}, 1),
        ({"n_jobs": -1}, 1),
        ({"n_jobs": None}, 8),
        ({"cpus_per_task": 3}, 3),
        ({"cpus_per_task": None}, 8),
        ({"cpus_per_task": 16}, 8),
        ({"n_jobs": 2, "cpus_per_task": 3}, 3),
        ({"n_jobs": 4, "cpus_per_task": 3}, 2),
        ({"ray": {"remote": {"num_cpus": 2}}}, 2),
        ({"ray": {"remote": {}}}, 8),
    ],
)
def test_the_jobs_of_a_launcher_share_the_cores(
    launcher: dict[str, Any], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(launcher, monkeypatch, RunMode.MULTIRUN)
    assert cores.share() == expected
    launch(launcher, monkeypatch, RunMode.RUN)
    assert cores.share() == 8


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, [{0, 1, 2, 3, 4, 5, 6, 7}]),
        (2, [{0, 1, 2, 3}, {4, 5, 6, 7}]),
        (3, [{0, 1}, {2, 3, 4}, {5, 6, 7}]),
        (9, [set()] * 9),
    ],
)
def test_processes_at_once_get_cores_of_their_own(number: int, expected: list[set[int]]) -> None:
    assert cores.parts(number) == expected


def test_cores_that_others_use_too_are_nobody_s_own(machine: Path) -> None:
    """In a container that sees eight and may use the time of four."""
    write(machine / "proc/self", cgroup="0::/")
    write(machine / "sys/fs/cgroup", cpu__max="400000 100000")
    assert cores.parts(2) == [set(), set()]


def test_a_process_with_cores_of_its_own_shares_them_with_no_job(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bound: list[set[int]] = []
    monkeypatch.setattr(cores, "_own", set())
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, own: bound.append(own), raising=False)
    launch({"n_jobs": 2}, monkeypatch, RunMode.MULTIRUN)
    cores.keep_to(set())
    assert (bound, cores.share()) == ([], 4)
    cores.keep_to({4, 5, 6, 7})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 6, 7}, raising=False)
    assert (bound, cores.share()) == ([{4, 5, 6, 7}], 4)


def test_slurm_says_how_many_cores_a_task_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "6")
    assert cores.available() == 6
    launch({"n_jobs": 2}, monkeypatch, RunMode.MULTIRUN)
    assert cores.share() == 3
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "12")
    assert cores.available() == 8


def test_a_control_group_and_those_around_it_limit_the_cores(machine: Path) -> None:
    """Version 2: a quota and a period in microseconds, or `max` for no quota."""
    write(machine / "proc/self", cgroup="0::/jobs/one")
    write(machine / "sys/fs/cgroup/jobs/one", cpu__max="max 100000")
    assert cores.available() == 8
    write(machine / "sys/fs/cgroup/jobs", cpu__max="350000 100000")
    assert cores.available() == 3
    write(machine / "sys/fs/cgroup/jobs/one", cpu__max="50000 100000")
    assert cores.available() == 1


def test_control_groups_of_version_1_limit_the_cores(machine: Path) -> None:
    write(machine / "proc/self", cgroup="4:memory:/job\n3:cpu,cpuacct:/job\n0::/")
    folder = machine / "sys/fs/cgroup/cpu,cpuacct/job"
    write(folder, cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    assert cores.available() == 8
    write(folder, cpu__cfs_quota_us="200000")
    assert cores.available() == 2
