"""Eight seeds one after another and two at a time: the wall time of a sweep on two cores.

One after another (Hydra's basic launcher), a run has both cores: its batch is divided between them.
With `hydra/launcher=joblib` two runs have a core each. A first sweep with each launcher, which is
not counted, leaves the compiled programs. A run is a default one that is cut short, so starting,
evaluating and drawing, which take one core, weigh more than they do in a whole one.

    python benchmarks/sweep.py [steps of a run ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _common as common

STEPS = ("200",)
SEEDS, WARM = "seed=range(8)", "seed=0,1"
LAUNCHERS: dict[str, tuple[str, ...]] = {
    "one after another": (),
    "two at a time": ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
}


def main() -> None:
    common.head(__doc__.splitlines()[0])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, launcher in enumerate(LAUNCHERS.values()):
            seconds_of(folder / f"warm{number}", WARM, "20", launcher)
        for steps in sys.argv[1:] or STEPS:
            one, two = (
                seconds_of(folder / f"{steps}-{number}", SEEDS, steps, launcher)
                for number, launcher in enumerate(LAUNCHERS.values())
            )
            rows.append((steps, f"{one:.0f}", f"{two:.0f}", f"{one / two:.2f}"))
    common.table(("steps of a run", *(f"{name}, s" for name in LAUNCHERS), "ratio"), rows)


def seconds_of(folder: Path, seeds: str, steps: str, launcher: tuple[str, ...]) -> float:
    """The wall time of a sweep, from the command to its table."""
    command = [sys.executable, str(common.ROOT / "run.py"), "-m", seeds, *launcher]
    command += [f"trainer.steps={steps}", f"hydra.sweep.dir={folder}"]
    command += [f"compilation_cache={folder.parent}/compiled"]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
