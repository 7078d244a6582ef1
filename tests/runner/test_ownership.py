"""A directory belongs to one run: others are refused before anything in it is written."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from omegaconf import DictConfig, OmegaConf

from runner.config import ownership, saved
from runner.errors import ConfigError
from runner.store import checkpoint
from runner.store.files import write_json

from .conftest import Compose

HOLDER = """
import sys
from pathlib import Path
from runner.config import ownership
with ownership.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def leave_checkpoint(folder: Path, config: DictConfig, step: int) -> Path:
    (folder / "checkpoints").mkdir(exist_ok=True)
    path = checkpoint.save(
        folder / "checkpoints",
        step,
        [tf.Variable(1.0)],
        {"step": step},
        OmegaConf.to_container(config, resolve=True),  # type: ignore[arg-type]
    )
    assert path is not None
    return path


@pytest.fixture
def owned(tmp_path: Path, composed: Compose) -> Path:
    """The directory of a run of seed 3 that has done 20 of 50 steps."""
    config = composed("seed=3", "trainer.steps=50")
    saved.write_config(config, tmp_path)
    leave_checkpoint(tmp_path, config, 20)
    write_json(tmp_path / "status.json", {"status": "interrupted", "error": None})
    return tmp_path


def contents(folder: Path) -> dict[Path, bytes | None]:
    paths = [path for path in folder.rglob("*") if path.name != ownership.LOCK]
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@pytest.mark.parametrize("where", ["both", "checkpoint alone", "configuration alone"])
@pytest.mark.parametrize(
    ("overrides", "differs"),
    [
        (["seed=4"], "seed=3, not 4"),
        (["seed=3", "optimizer.learning_rate=1e-4"], "optimizer.learning_rate=0.003, not 0.0001"),
        (["seed=3", "controller=dense"], "controller=lstm, not dense"),
        (["seed=3", "init_from=/elsewhere"], "init_from=null, not /elsewhere"),
    ],
)
def test_another_run_is_refused_by_what_differs(
    overrides: list[str], differs: str, where: str, owned: Path, composed: Compose
) -> None:
    if where == "checkpoint alone":
        (owned / ".hydra/config.yaml").unlink()
    if where == "configuration alone":
        (owned / "checkpoints/step_000000020.npz").unlink()
    before = contents(owned)
    for attempt in (ownership.check, claim):
        with pytest.raises(ConfigError, match=re.escape(differs)) as refusal:
            attempt(composed("trainer.steps=50", *overrides), owned)
        assert "hydra.run.dir=" in str(refusal.value)
        assert "delete" in str(refusal.value)
    assert contents(owned) == before


def claim(config: DictConfig, directory: Path) -> None:
    with ownership.claimed(config, directory):
        pass


@pytest.mark.parametrize(
    "overrides",
    [[], ["trainer.steps=70"], ["device=cpu", "evaluate.sequences=8", "figures.format=[pdf]"]],
)
def test_the_same_run_goes_on(overrides: list[str], owned: Path, composed: Compose) -> None:
    claim(composed("seed=3", "trainer.steps=50", *overrides), owned)


def test_a_run_of_fewer_steps_than_were_done_is_refused(owned: Path, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=r"has done 20 steps and trainer.steps=19"):
        claim(composed("seed=3", "trainer.steps=19"), owned)
    claim(composed("seed=3", "trainer.steps=20"), owned)


def test_what_an_evaluation_holds_is_its_own(
    owned: Path, tmp_path_factory: pytest.TempPathFactory, composed: Compose
) -> None:
    config = composed("seed=3", "trainer.steps=50")
    evaluation = OmegaConf.merge(config, {"mode": "evaluate", "checkpoint": str(owned)})
    with pytest.raises(ConfigError, match="a training, and an evaluation has a directory of its"):
        ownership.check(evaluation, owned)
    other = tmp_path_factory.mktemp("evaluation")
    saved.write_config(evaluation, other)
    ownership.check(evaluation, other)
    with pytest.raises(ConfigError, match="an evaluation, and a training has a directory of its"):
        ownership.check(config, other)
    # Nothing of an evaluation is left free: its numbers would be replaced.
    with pytest.raises(ConfigError, match=r"evaluate.sequences=640, not 8"):
        ownership.check(OmegaConf.merge(evaluation, {"evaluate": {"sequences": 8}}), other)


def test_a_second_process_is_refused_until_the_first_is_dead(
    owned: Path, composed: Compose
) -> None:
    config = composed("seed=3", "trainer.steps=50")
    first = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(owned)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        for attempt in (ownership.check, claim):
            with pytest.raises(ConfigError, match=rf"in use .*process {first.pid} on "):
                attempt(config, owned)
    finally:
        first.kill()
        first.communicate()
    claim(config, owned)


def test_a_second_run_of_this_process_is_refused_too(owned: Path, composed: Compose) -> None:
    config = composed("seed=3", "trainer.steps=50")
    with ownership.claimed(config, owned), pytest.raises(ConfigError, match="in use"):
        claim(config, owned)


def test_a_run_and_a_sweep_do_not_share_a_directory(
    owned: Path, tmp_path_factory: pytest.TempPathFactory, composed: Compose
) -> None:
    config = composed("seed=3", "trainer.steps=50")
    for inside in (owned / "again", owned / "checkpoints", owned / "a/b"):
        with pytest.raises(ConfigError, match=f"lies in the directory of another run, {owned}"):
            ownership.check(config, inside)
    for root in (owned, owned / "sweep"):
        with pytest.raises(ConfigError, match=f"in, the directory of the run {owned}"):
            ownership.check_sweep(root)
    sweep = tmp_path_factory.mktemp("sweep")
    ownership.check_sweep(sweep)
    (sweep / "multirun.yaml").touch()
    with pytest.raises(ConfigError, match=r"the directory of a sweep, with multirun.yaml in"):
        claim(config, sweep)
    claim(config, sweep / "0")


def test_a_training_does_not_begin_in_the_directory_of_its_weights(
    owned: Path, composed: Compose
) -> None:
    config = composed("seed=3", "trainer.steps=50", f"init_from={owned}")
    with pytest.raises(ConfigError, match=r"init_from=.* has a directory of its own.*resume="):
        ownership.check(config, owned)


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"evaluation": {}},
        {"evaluation": {"length=5": {}}},
        {"evaluation": {"length=5": {"bit_errors_per_sequence": 1, "loss_bits_per_sequence": "x"}}},
        {
            "evaluation": {
                "length=5": {"bit_errors_per_sequence": 1, "loss_bits_per_sequence": None}
            }
        },
    ],
)
def test_a_run_with_damaged_results_is_not_complete(
    metrics: dict[str, Any], owned: Path, composed: Compose
) -> None:
    write_json(owned / "status.json", {"status": "solved", "error": None})
    write_json(owned / "metrics.json", metrics)
    zipfile.ZipFile(owned / "model.keras", "w").close()
    assert not ownership.is_complete(composed("seed=3", "trainer.steps=50"), owned)


def test_an_error_before_anything_is_written_leaves_no_folder(
    tmp_path: Path, composed: Compose
) -> None:
    with pytest.raises(KeyboardInterrupt), ownership.claimed(composed(), tmp_path / "new"):
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()


def test_a_new_directory_goes_again_when_its_run_is_refused(
    tmp_path: Path, composed: Compose
) -> None:
    def refused(directory: Path, work: Callable[[], None]) -> None:
        with pytest.raises(ConfigError), ownership.claimed(composed(), directory):
            work()
            raise ConfigError

    new, used = tmp_path / "new", tmp_path / "used"
    refused(new, lambda: None)
    assert not new.exists()
    refused(used, (used / "note").touch)
    assert (used / "note").exists()


def test_what_a_killed_process_left_half_written_goes(owned: Path, composed: Compose) -> None:
    half = [
        owned / f".model-{'0f' * 16}.keras",
        owned / "checkpoints" / f".step_000000030-{'a1' * 16}.npz",
        owned / ".hydra" / f".config-{'b2' * 16}.yaml",
        owned / f".events.out.tfevents.1.host.2.t3-{'c3' * 16}.hparams",
    ]
    own = owned / ".my-notes.txt"
    for path in (*half, own):
        path.touch()
    claim(composed("seed=3", "trainer.steps=50"), owned)
    assert not any(path.exists() for path in half)
    assert own.exists()


@pytest.mark.parametrize(
    ("overrides", "complete"), [([], True), (["device=cpu"], True), (["trainer.steps=60"], False)]
)
def test_a_run_is_complete_when_nothing_is_left_to_do(
    overrides: list[str], complete: bool, owned: Path, composed: Compose
) -> None:
    config = composed("seed=3", "trainer.steps=50", *overrides)
    scores = {"bit_errors_per_sequence": 0.0, "loss_bits_per_sequence": 0.5}
    write_json(owned / "metrics.json", {"evaluation": {"length=20": scores}})
    zipfile.ZipFile(owned / "model.keras", "w").close()
    write_json(owned / "status.json", {"status": "solved", "error": None})
    leave_checkpoint(owned, composed("seed=3", "trainer.steps=50"), 50)
    assert ownership.is_complete(config, owned) is complete
    (owned / "model.keras").write_bytes(b"cut short")
    assert not ownership.is_complete(config, owned)


def test_a_directory_of_an_older_version_is_compared_by_what_it_has(
    owned: Path, composed: Compose
) -> None:
    """Its configuration lacks keys, and its checkpoint the configuration."""
    path = owned / ".hydra/config.yaml"
    kept = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(kept, dict)
    del kept["init_from"]
    OmegaConf.save(kept, path)
    old = owned / "checkpoints/step_000000020.npz"
    with np.load(old) as arrays:
        without = {name: arrays[name] for name in arrays.files if name != "config"}
    np.savez(old, **without)
    claim(composed("seed=3", "trainer.steps=50"), owned)
    for other, differs in (("seed=4", "seed=3, not 4"), ("init_from=/x", "init_from=null, not /x")):
        with pytest.raises(ConfigError, match=differs):
            claim(composed("seed=3", "trainer.steps=50", other), owned)
