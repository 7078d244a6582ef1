"""Whatever has become of a run's files: what reads them says so in one paragraph, or goes on."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from runner import compare, job, ship
from runner.config import checks, command_line, saved
from runner.config.schema import task_from
from runner.errors import ConfigError, RunError
from runner.results import study, sweep
from runner.results.summary import tables
from runner.store.files import write_json
from runner.training import build

from .conftest import Compose
from .test_ship import TINY

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def whole(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two steps, said to be solved, as the only one of a sweep."""
    folder = tmp_path_factory.mktemp("sweep") / "0"
    config = composed(*TINY)
    saved.write_config(config, folder)
    stated = list(TINY)
    (folder / ".hydra/overrides.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(stated)))
    job.run(config, folder)
    write_json(folder / "status.json", {"status": "solved", "error": None})
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    shutil.copytree(whole, tmp_path / "sweep/0")
    return tmp_path / "sweep/0"


def evaluate(run: Path, composed: Compose) -> None:
    """All that an evaluation reads."""
    config = settled(composed, f"mode=evaluate checkpoint={run}")
    job._load_weights(build.model_from(config, task_from(config)), run / "model.keras")
    job._trained(run)


def resume(run: Path, composed: Compose) -> None:
    """All that a run reads that goes on, but for the weights in its checkpoint."""
    folder = run.parent.parent / "resumed"
    folder.mkdir(exist_ok=True)
    job._starting_checkpoint(settled(composed, f"resume={run}"), folder)


def settled(composed: Compose, overrides: str) -> Any:
    """What run.py makes of a command line."""
    arguments = command_line.complete(overrides.split())
    return checks.resolve(composed(*arguments), arguments)[0]


def compare_runs(run: Path, composed: Compose) -> None:
    """All but the figures, which take their time, and what they are drawn from."""
    read = study.read([f"a={run}"])
    assert tables(read, 1.0)
    for curve in compare.CURVES:
        compare._curves(read.seeds["a"], curve)


def ship_run(run: Path, composed: Compose) -> None:
    ship.ship(run, run.parent.parent / "shipped")


def tabulate(run: Path, composed: Compose) -> None:
    sweep.write(run.parent)


COMMANDS = {
    "evaluate": evaluate,
    "resume": resume,
    "compare": compare_runs,
    "ship": ship_run,
    "sweep": tabulate,
}
FILES = (
    ".hydra/config.yaml",
    ".hydra/overrides.yaml",
    "metrics.json",
    "status.json",
    "history.json",
    "model.keras",
    "checkpoints/step_000000002.npz",
)


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damage] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 4),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "list": lambda path: path.write_text("[1, 2]"),
    "number": lambda path: path.write_text("3"),
    "deep": lambda path: path.write_text("[" * 10_000 + "]" * 10_000),
    "digits": lambda path: path.write_text('{"seed": ' + "9" * 5000 + "}"),
    "reference": lambda path: path.write_text('{"seed": "${oc.env:HOME}", "a": ["${b}"]}'),
    "folder": folder_in_its_place,
}
EVERY_DAY = ("list",)


def survives(command: str, run: Path, composed: Compose) -> str:
    """What a command says, empty if it succeeds; any error but those for a person is a bug."""
    try:
        COMMANDS[command](run, composed)
    except (ConfigError, RunError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "damage",
    [name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in DAMAGES],
)
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_damaged_file_is_no_bug(
    command: str, name: str, damage: str, run: Path, composed: Compose
) -> None:
    DAMAGES[damage](run / name)
    survives(command, run, composed)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("evaluate", ".hydra/config.yaml"),
        ("evaluate", "metrics.json"),
        ("evaluate", "model.keras"),
        ("resume", ".hydra/config.yaml"),
        ("compare", ".hydra/config.yaml"),
        ("compare", "metrics.json"),
        ("compare", "history.json"),
        ("ship", "status.json"),
        ("ship", "model.keras"),
    ],
)
def test_the_message_names_the_file(command: str, name: str, run: Path, composed: Compose) -> None:
    DAMAGES["binary"](run / name)
    said = survives(command, run, composed)
    assert name in said
    assert str(run) in said


def leaves(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in nested maps and lists, with every key or index of it."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from leaves(value)


WRONG = ("text", "1e400", [[]], {"a": 1}, -7, None, 10**30, "${oc.env:X}")


@pytest.mark.parametrize(
    ("every", "shift"),
    [(8, 0), *(pytest.param(3, each, marks=pytest.mark.slow) for each in range(len(WRONG)))],
)
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(("json", "yaml"))])
def test_a_value_of_the_wrong_type_is_no_bug(
    name: str, every: int, shift: int, run: Path, composed: Compose
) -> None:
    """One value of a file at a time, for all that reads it: each of them two or three times, and
    every eighth one in the fast part.
    """
    path = run / name
    load, dump = (json.loads, json.dumps) if name.endswith("json") else (yaml.safe_load, yaml.dump)
    content = path.read_text()
    for number in range(shift % every, len(list(leaves(load(content)))), every):
        damaged = load(content)
        container, key = list(leaves(damaged))[number]
        container[key] = WRONG[(number + shift) % len(WRONG)]
        path.write_text(dump(damaged))
        for command in ("compare", "ship", "sweep"):
            survives(command, run, composed)
        for overrides in (f"mode=evaluate checkpoint={run}", f"resume={run}"):
            with suppress(ConfigError):
                settled(composed, overrides)


def test_a_reference_in_a_saved_configuration_is_not_looked_up(
    run: Path, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "12345")
    path = run / ".hydra/config.yaml"
    path.write_text(path.read_text().replace("  clip_norm: null", "  clip_norm: ${oc.env:SECRET}"))
    for command in ("evaluate", "resume", "compare", "ship"):
        said = survives(command, run, composed)
        assert f"{path} has the reference trainer.clip_norm=${{oc.env:SECRET}}" in said
        assert "12345" not in said
    tabulate(run, composed)
    assert "12345" not in (run.parent / "sweep.csv").read_text()


def test_what_runs_is_saved_without_references(tmp_path: Path, composed: Compose) -> None:
    config = composed("ntm.write_heads=${ntm.read_heads}", "ntm.read_heads=3")
    saved.write_config(config, tmp_path)
    assert yaml.safe_load((tmp_path / ".hydra/config.yaml").read_text())["ntm"]["write_heads"] == 3


def test_one_damaged_run_does_not_cost_the_table_of_a_sweep(run: Path) -> None:
    shutil.copytree(run, run.parent / "1")
    DAMAGES["half"](run / "metrics.json")
    text = sweep.report(run.parent)
    assert "unreadable" in text
    table = (run.parent / "sweep.csv").read_text()
    assert str(run / "metrics.json") in table
    assert "solved" in table


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"module": "os", "class_name": "system"}'])
def test_a_whole_archive_with_another_content_is_no_bug(
    name: str, content: bytes, run: Path, composed: Compose
) -> None:
    with zipfile.ZipFile(run / "model.keras") as archive:
        parts = {part: archive.read(part) for part in archive.namelist()}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for part, old in parts.items():
            archive.writestr(part, content if part == name else old)
    (run / "model.keras").write_bytes(changed.getvalue())
    said = survives("evaluate", run, composed)
    assert "model.keras" in said or name == "metadata.json"
