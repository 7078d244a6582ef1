"""How many cores a job may use: the least that the machine, a scheduler and the launcher give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

SYSTEM = Path("/")
# The CPU time that a group of processes may use in a period, of version 2 and 1 of control groups.
MOUNT, MOUNTS = "sys/fs/cgroup", ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")
# The cores that this process was given for itself, if it was.
_own: set[int] = set()


def available() -> int:
    """The cores that this process may use, at least one.

    The least of the affinity mask, the limits of control groups and, in a Slurm job,
    `SLURM_CPUS_PER_TASK`.
    """
    return max(1, int(min([_affinity(), *_limits(SYSTEM), *_slurm()])))


def parts(number: int) -> list[set[int]]:
    """The cores of this process in so many parts, for processes that run at once.

    Processes that share cores have threads for all of them, and get in each other's way. The sets
    are empty, which means any cores, where there are too few, where the system cannot bind a
    process, or where it gives time on more cores than it lets one use: others use them too then.
    """
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not number <= len(usable) == available():
        return [set() for _ in range(number)]
    bounds = [len(usable) * place // number for place in range(number + 1)]
    return [set(usable[low:high]) for low, high in pairwise(bounds)]


def keep_to(own: set[int]) -> None:
    """Run on these cores alone, all of which are this process's share from now on."""
    if own:
        os.sched_setaffinity(0, own)
        _own.update(own)


def share() -> int:
    """Return this job's part of the cores that are available, at least one.

    A launcher with `n_jobs`, such as hydra/launcher=slurm_local, runs that many
    jobs at once; -1 means one a core. `hydra.launcher.cpus_per_task` is what a
    job asks for, and gets no more than.
    """
    launcher = _launcher()
    at_once = 1 if _own else int(launcher.get("n_jobs") or 1)
    part = available() // at_once if at_once > 0 else 1
    return max(1, min([part, *_asked(launcher)]))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _limits(system: Path) -> Iterator[float]:
    """The limits of the control groups that this process is in, in cores.

    system: the root of the file system.
    """
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            for folder in _upwards(system / MOUNT, group):
                yield from _cores(*_numbers(folder / "cpu.max", 2))
        elif "cpu" in controllers.split(","):
            for mount in MOUNTS:
                for folder in _upwards(system / mount, group):
                    quota = _numbers(folder / "cpu.cfs_quota_us", 1)
                    yield from _cores(*quota, *_numbers(folder / "cpu.cfs_period_us", 1))


def _upwards(mount: Path, group: str) -> Iterator[Path]:
    """The folder of a group and of those around it; a container may see its own as the first."""
    folder = mount / group.strip("/")
    while folder != mount:
        yield folder
        folder = folder.parent
    yield mount


def _numbers(path: Path, count: int) -> list[float]:
    """The numbers in a file, none where it is missing or says `max`."""
    try:
        return [float(text) for text in path.read_text().split()[:count]]
    except (OSError, ValueError):
        return []


def _cores(*times: float) -> Iterator[float]:
    """The cores that a quota and a period make, if there is a quota."""
    if len(times) == 2 and times[0] > 0 and times[1] > 0:
        yield times[0] / times[1]


def _slurm() -> Iterator[int]:
    text = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if text.isdecimal() and int(text) > 0:
        yield int(text)


def _asked(launcher: Any) -> Iterator[int]:
    """What the launcher gives a job: submitit's `cpus_per_task`, Ray's `num_cpus`."""
    ray = launcher.get("ray") or {}
    for asked in (launcher.get("cpus_per_task"), (ray.get("remote") or {}).get("num_cpus")):
        if asked:
            yield int(asked)


def _launcher() -> Any:
    """The launcher of the sweep that this job belongs to; empty for a single run."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return {}
    return HydraConfig.get().launcher
