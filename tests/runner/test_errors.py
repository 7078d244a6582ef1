"""A person's mistake ends in one paragraph and status 2; a bug keeps its stack trace."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import ConfigCompositionException
from omegaconf.errors import OmegaConfBaseException

from runner.config.explain import LISTED, explain
from runner.config.friendly import friendly
from runner.errors import ConfigError, Refused, RunError

from .conftest import ROOT, Compose
from .forked import Runs, running


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python run.py` in a folder of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """Of commands that come to nothing before anything heavy is imported."""
    with running("hydra.main", "runner.config.friendly", "runner.config.checks") as each:
        yield each


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("ntm.n_with=3", f"there is no key 'ntm.n_with' (did you mean 'ntm.n_width'?). {LISTED}"),
        ("steps=3", "there is no key 'steps' (did you mean 'trainer.steps'?)"),
        ("trainr.steps=3", "there is no key 'trainr.steps' (did you mean 'trainer.steps'?)"),
        ("ntm.bits=3", "there is no key 'ntm.bits' (did you mean 'task.bits'?)"),
        (
            "trainer.restart_at=100",
            "there is no key 'trainer.restart_at' any more: leave it away: a machine is judged",
        ),
        ("taks=copy", "there is no key 'taks' (did you mean 'task'?)"),
        ("experimnt=quick", "there is no key 'experimnt' (did you mean 'experiment'?)"),
        ("hydra.swep.dir=x", "there is no key 'hydra.swep.dir' (did you mean 'hydra.sweep.dir'?)"),
        ("hydra.sweep.dri=x", "there is no key 'hydra.sweep.dri' (did you mean 'hydra.sweep.dir'?"),
        ("hydra/lancher=basic", "there is no key 'hydra/lancher' (did you mean 'hydra/launcher'?)"),
        (
            "controller=dense controller.units=3",
            "there is no key 'controller.units' with controller=dense; it belongs to "
            "controller=double_dense, feedforward, lstm, wide_dense.",
        ),
        (
            "controller=lsmt",
            "controller=lsmt does not exist (did you mean 'lstm'?). The options of controller are "
            "dense, double_dense, feedforward, lstm, wide_dense.",
        ),
        ("model=nmt", "model=nmt does not exist (did you mean 'ntm'?)"),
        ("experiment=quik", "experiment=quik does not exist (did you mean 'quick'?)"),
        ("experiment=paper/copy_lst", "(did you mean 'paper/copy_lstm'?)"),
        ("hydra/launcher=basics", "hydra/launcher=basics does not exist (did you mean 'basic'?)"),
        (
            "trainer.steps=1e4",
            "trainer.steps=1e4 is of the wrong type: trainer.steps must be a whole number.",
        ),
        ("trainer.verbose=3.5", "trainer.verbose must be true or false"),
        ("trainer.clip_norm=no", "trainer.clip_norm must be a number, or null"),
        ("trainer.steps=null", "trainer.steps must be a whole number"),
        ("model=lstm model.units=5", "model.units must be a list of whole numbers"),
        ("model=lstm model.units=[5,a]", "model.units=[5,a] is of the wrong type"),
        ("evaluate.cases=5", "evaluate.cases must be a list of texts such as [a,b], or null"),
        ("ntm=3", "ntm=3: ntm holds several values (n_width, m_depth,"),
        ("ntm={a:3}", "there is no key 'ntm.a'"),
        ("~ntm.n_width", "ntm.n_width cannot be removed, only set to another value"),
        ("ntm.n_width", "cannot read 'ntm.n_width'"),
        ("checkpoint=a=b", """quote a value that holds '=', ',' or spaces: 'key="a=b, c"'"""),
    ],
)
def test_hydras_refusals_are_explained(overrides: str, message: str, composed: Compose) -> None:
    with pytest.raises(Exception) as refusal:  # noqa: PT011
        composed(*overrides.split())
    text = explain(refusal.value)
    assert text is not None
    assert message in text
    assert "\n" not in text


@pytest.mark.parametrize("overrides", ["model.units=[5,a]", "ntm=3"])
def test_an_error_that_is_its_own_cause_is_explained(
    overrides: str, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OmegaConf's are under a debugger, and where OC_CAUSE asks for whole traces."""
    monkeypatch.setenv("OC_CAUSE", "1")
    with pytest.raises(Exception) as refusal:  # noqa: PT011
        composed("model=lstm", overrides)
    assert overrides in str(explain(refusal.value))


def test_a_bad_file_is_named(runs: Runs, tmp_path: Path) -> None:
    for name, content, message in (
        ("unknown", "ntm:\n  n_with: 3\n", "there is no key 'ntm.n_with' (did you mean"),
        ("wrong", "ntm:\n  n_width: x\n", "ntm.n_width=x is of the wrong type"),
        ("group", "defaults:\n  - override /controller: lst\n", "controller=lst does not exist"),
        ("yaml", "ntm: [3\n", "experiment/yaml.yaml"),
    ):
        path = tmp_path / "experiment" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# @package _global_\n{content}")
        done = runs(tmp_path, f"hydra.searchpath=[file://{tmp_path}]", f"experiment={name}")
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr
        assert f"experiment/{name}" in done.stderr or name == "group"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ntm.read_heads=0"], "ntm.read_heads=0 must be at least 1."),
        (["controller=lsmt"], "controller=lsmt does not exist (did you mean 'lstm'?)."),
        (["+hydra.run.dri=x"], "there is no key 'hydra.run.dri' (did you mean 'hydra.run.dir'?)."),
        (["seed=1,2"], "seed=1,2 holds several values: add -m to run a job for each of them"),
        (
            ["-m", "seed=0,1", "ntm.read_heads=1,0"],
            "job 1 (seed=0 ntm.read_heads=0 trainer.steps=1): ",
        ),
        (["-m", "seed=0,1", "controller=lstm,lsmt"], "controller=lsmt does not exist"),
        (["-m", "--cfg", "job"], "Only one of --run, --multirun, --cfg"),
        (["hydra.run.dir="], "hydra.run.dir= names no directory"),
        (["-m", "seed=0,1", "hydra.sweep.dir="], "hydra.sweep.dir= names no directory"),
        (["-m", "seed=0,1", "hydra.sweep.subdir="], "hydra.sweep.subdir= names no directory"),
        (["-m", "seed=0,1", "hydra.sweep.subdir=x"], "job 1 (seed=1 trainer.steps=1): its direct"),
        (["hydra.job.name=../../x"], "hydra.job.name=../../x is no name of a file"),
        (["hydra.output_subdir=x"], "hydra.output_subdir=x: a run's configuration is always"),
    ],
)
def test_a_mistake_is_one_paragraph_and_leaves_nothing(
    arguments: list[str], message: str, runs: Runs, tmp_path: Path
) -> None:
    done = runs(tmp_path, *arguments, "trainer.steps=1")  # little, if it is not refused
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Configuration error: {message}"), done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_damaged_model_is_one_paragraph_and_leaves_nothing(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models/copy", tmp_path / "run")
    model = tmp_path / "run/model.keras"
    model.write_bytes(model.read_bytes()[:5000])
    done = run(tmp_path, "mode=evaluate", "checkpoint=run")
    assert done.returncode == 2
    assert done.stderr.startswith("Configuration error: checkpoint=run has a damaged model.keras")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("asked_for", ["", "1"])
def test_a_process_of_its_own_shows_a_stack_trace_when_asked_for(
    asked_for: str, tmp_path: Path
) -> None:
    done = run(tmp_path, "ntm.read_heads=0", HYDRA_FULL_ERROR=asked_for)
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback" if asked_for else "Configuration error: ")
    assert "Configuration error: ntm.read_heads=0 must be" in done.stderr


@pytest.fixture(params=[None, "0", "1"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """What HYDRA_FULL_ERROR was before, which it has to be afterwards."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    if request.param is not None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", request.param)
    yield request.param
    assert os.environ.get("HYDRA_FULL_ERROR") == request.param


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (ConfigError("bad\nvalue"), 2, "Configuration error: bad value\n"),
        (ConfigCompositionException("no such"), 2, "Configuration error: no such\n"),
        (RunError("not finite"), 1, "The run stopped: not finite\n"),
    ],
)
def test_a_persons_error_has_a_status_and_a_text(
    raised: Exception,
    status: int,
    text: str,
    asked: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop, friendly():
        raise raised
    assert stop.value.code == status
    shown = capsys.readouterr().err
    assert shown.endswith(text)
    assert ("Traceback" in shown) == (asked == "1")


def test_what_a_callback_refuses_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, friendly():
        raise Refused from ConfigError("bad")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "Configuration error: bad\n"


def test_an_interrupt_is_quiet(asked: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, friendly():
        raise KeyboardInterrupt
    assert stop.value.code == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("bug", [ValueError("bug"), KeyError("bug"), ZeroDivisionError("bug")])
def test_a_bug_passes_through(bug: Exception, asked: str | None) -> None:
    with pytest.raises(type(bug), match="bug"), friendly():
        raise bug


def test_an_error_of_omegaconf_inside_a_job_is_a_bug(composed: Compose) -> None:
    """Hydra hands a job's exception on through `JobReturn.return_value`."""
    with pytest.raises(OmegaConfBaseException) as outside:
        composed().ntm["no_such_key"]
    assert explain(outside.value) is not None

    job = JobReturn(overrides=[])
    job.status, job.return_value = JobStatus.FAILED, outside.value
    with pytest.raises(OmegaConfBaseException) as inside:
        _ = job.return_value
    assert explain(inside.value) is None
