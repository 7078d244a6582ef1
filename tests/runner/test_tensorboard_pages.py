"""What TensorBoard shows of sweeps: its HTTP endpoints, and its pages in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard import program

from runner.reporting import events, hparams
from runner.reporting.tensorboard import TensorBoardLog
from runner.results import sweep
from runner.store.files import make, write_json, write_text

from .browser import Browser, driver, needs_chromium, window
from .conftest import ROOT

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard itself

ERRORS = "bit_errors_per_sequence"


# Elements are inside of each other's shadow trees, which selectors do not enter.
DEEP = """
const found = [];
const visit = (node) => {
  for (const child of node.querySelectorAll('*')) {
    if (child.matches(arguments[0])) found.push(child);
    if (child.shadowRoot) visit(child.shadowRoot);
  }
};
visit(document);
"""


def of_all(browser: Browser, selector: str, expression: str) -> list[Any]:
    """A JavaScript expression of every element `e` that a selector finds at any depth."""
    found: list[Any] = browser.run(f"{DEEP}return found.map((e) => {expression});", selector)
    return found


def until(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What a function returns once it is true.

    A page comes in parts, headings before rows: wait for what is asserted, not for a first part.
    """
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it has not come"
        time.sleep(0.5)
    return result


def whole(found: list[str], number: int) -> list[str] | None:
    """So many texts of which none is empty, else None."""
    return found if len(found) == number and all(found) else None


class Page:
    """A TensorBoard of a directory."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}data/{path}") as answer:
            return json.load(answer)

    def hparams(self, path: str, **asked: Any) -> Any:
        data = json.dumps({"experimentName": "", **asked}).encode()
        address = f"{self.url}data/plugin/hparams/{path}"
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address, data, headers, method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def rows(self) -> dict[str, dict[str, Any]]:
        """The values, the status and the metrics of each row of the HParams page."""
        statuses = [f"STATUS_{name}" for name in ("UNKNOWN", "SUCCESS", "FAILURE", "RUNNING")]
        asked = {"allowedStatuses": statuses, "startIndex": 0, "sliceSize": 100}
        return {
            group["name"]: group["hparams"]
            | {"status of TensorBoard": group["sessions"][0]["status"]}
            | {metric["name"]["tag"]: metric["value"] for metric in group["metricValues"]}
            for group in self.hparams("session_groups", colParams=[], **asked)["sessionGroups"]
        }


@contextmanager
def tensorboard(folder: Path) -> Iterator[Page]:
    server = program.TensorBoard()
    server.configure(argv=["", f"--logdir={folder}", "--port=0", "--load_fast=false"])
    page = Page(server.launch())
    until(lambda: page.get("runs"))
    yield page


def leave(folder: Path, values: Mapping[str, Any], status: str, errors: float | None) -> None:
    """Leave what a run of a sweep leaves, with events under a label that says too little."""
    make(folder, ".hydra")
    write_text(folder / ".hydra/config.yaml", json.dumps(values))
    write_json(folder / "status.json", {"status": status, "error": None})
    row = hparams.Row(events.folder_for(folder, "seed=7"), {"seed": 7})
    with TensorBoardLog(row.folder, 0) as log:
        log.scalars(0, hparams.in_brief({}, False, 0.0, 0, None))
        if errors is not None:
            log.cases(40, {"length=5": {ERRORS: errors}})
            log.scalars(40, hparams.in_brief({ERRORS: errors}, False, 1.0, 640, None))
    row.write({}, "failed" if status == "failed" else "running", 0)
    if status != "failed":
        facts = {"steps": 40, "sequences": 640, "seconds": 2.0, "solved_at_sequences": None}
        write_json(folder / "metrics.json", facts | {"evaluation": {"length=5": {ERRORS: errors}}})


def controller(name: str, seed: int) -> dict[str, Any]:
    return {"controller": {"name": name}, "ntm": {"n_width": len(name)}, "seed": seed}


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One sweep over two controllers, of which one run failed, and one over two rates."""
    root = tmp_path_factory.mktemp("multirun")
    leave(root / "a/0", controller("lstm", 0), "solved", 0.0)
    leave(root / "a/1", controller("lstm", 1), "finished", 3.0)
    leave(root / "a/2", controller("dense", 0), "failed", 5.0)
    leave(root / "a/3", controller("dense", 1), "finished", 4.0)
    for number, rate in enumerate((0.001, 0.01)):
        values = {"optimizer": {"learning_rate": rate}, "seed": 0}
        leave(root / f"b/rate {number}", values, "solved", 0.0)
    for name in ("a", "b"):
        sweep.report(root / name)
    return root


@pytest.fixture(scope="module")
def one(sweeps: Path) -> Iterator[Page]:
    with tensorboard(sweeps / "a") as page:
        until(lambda: len(page.get("runs")) == 4)
        yield page


def test_the_names_of_runs_say_what_differs(one: Page) -> None:
    assert one.get("runs") == [
        "0/controller=lstm seed=0",
        "1/controller=lstm seed=1",
        "2/controller=dense seed=0",
        "3/controller=dense seed=1",
    ]
    tags = one.get("plugin/scalars/tags")
    assert set(tags) == set(one.get("runs"))  # None is empty.
    assert f"evaluation/length=5/{ERRORS}" in tags["0/controller=lstm seed=0"]


def test_the_columns_are_what_differs_each_of_one_type(one: Page) -> None:
    found = one.hparams("experiment")
    assert [(info["name"], info["type"]) for info in found["hparamInfos"]] == [
        ("controller", "DATA_TYPE_STRING"),
        ("seed", "DATA_TYPE_FLOAT64"),
        ("status", "DATA_TYPE_STRING"),
    ]
    assert all(info["differs"] for info in found["hparamInfos"])


def test_every_run_has_a_value_in_the_columns_that_are_shown(one: Page) -> None:
    """TensorBoard shows the first five of each and draws no line for a run that lacks one."""
    found = one.hparams("experiment")
    names = [info["name"] for info in found["hparamInfos"][:5]]
    names += [info["name"]["tag"] for info in found["metricInfos"][:4]]
    rows = one.rows()
    assert len(rows) == 4
    for row in rows.values():
        assert set(names) <= set(row)


def test_rows_say_what_a_run_came_to_and_how_it_ended(one: Page) -> None:
    rows = one.rows()
    solved, failed = rows["0/controller=lstm seed=0"], rows["2/controller=dense seed=0"]
    assert (solved["controller"], solved["seed"], solved["brief/solved"]) == ("lstm", 0, 1)
    assert solved["status of TensorBoard"] == "STATUS_SUCCESS"
    assert (failed["status"], failed["status of TensorBoard"]) == ("failed", "STATUS_FAILURE")
    assert (failed["brief/solved"], failed["brief/bit errors"]) == (0, 5)
    finished = rows["3/controller=dense seed=1"]
    assert (finished["brief/solved"], finished["brief/time, s"]) == (0, 2)


def test_several_sweeps_do_not_hide_each_others_values(sweeps: Path) -> None:
    with tensorboard(sweeps) as page:
        until(lambda: len(page.get("runs")) == 6)
        assert "b/rate 1/optimizer.learning_rate=0.01" in page.get("runs")
        infos = {info["name"]: info for info in page.hparams("experiment")["hparamInfos"]}
        assert set(infos) == {"controller", "seed", "status", "optimizer.learning_rate"}
        assert set(infos["controller"]["domainDiscrete"]) == {"lstm", "dense"}
        rows = page.rows()
    assert len(rows) == 6
    assert rows["a/3/controller=dense seed=1"]["controller"] == "dense"
    assert rows["b/rate 1/optimizer.learning_rate=0.01"]["optimizer.learning_rate"] == 0.01


def test_a_job_alone_is_named_as_in_its_sweep(sweeps: Path) -> None:
    with tensorboard(sweeps / "a/3") as page:
        assert page.get("runs") == ["controller=dense seed=1"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two seeds as a person runs it."""
    folder = tmp_path_factory.mktemp("real")
    subprocess.run(
        [
            *(sys.executable, str(ROOT / "run.py"), "-m", "hydra.sweep.dir=sweep"),
            *("task.max_length=3", "ntm.n_width=8", "trainer.steps=8", "trainer.evaluate_every=2"),
            *("trainer.histograms=true", "trainer.profile=[2,3]", "evaluate.sequences=4"),
            *("evaluate.cases=[length=3]", "controller=dense", "seed=0,1"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return folder / "sweep"


@pytest.mark.slow
@needs_chromium
def test_the_pages_of_a_real_sweep_draw_every_run(real: Path) -> None:
    assert list(real.glob("0/*/plugins/profile/*/*.xplane.pb"))
    names = ["0/seed=0", "1/seed=1"]
    with tensorboard(real) as page, driver() as address, window(address) as browser:
        until(lambda: page.get("runs") == names)
        tags = page.get("plugin/histograms/tags")[names[0]]
        assert {tag.partition("/")[0] for tag in tags} == {"weights", "gradients"}

        browser.open(f"{page.url}#scalars")
        card = ["brief/bit errors", 2]  # curves
        drawn = "[e.tag, (e.dataToLoad || []).length]"
        until(lambda: card in of_all(browser, "tf-scalar-card", drawn))

        browser.open("about:blank")
        browser.open(f"{page.url}#images")
        until(lambda: of_all(browser, "tf-image-loader", "e.tag")[:1] == ["brief/heads"])

        browser.open("about:blank")
        browser.open(f"{page.url}#hparams")
        cell = "e.textContent.trim()"
        until(lambda: set(names) <= set(of_all(browser, ".table-cell", cell)))
        browser.run(
            DEEP + "found.find((e) => e.textContent.includes('PARALLEL')).click();", "paper-tab"
        )
        line = "e.getAttribute('d') || ''"
        lines = until(lambda: whole(of_all(browser, "g.foreground path", line), len(names)))
        assert not [path for path in lines if "NaN" in path]
