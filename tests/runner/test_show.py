"""`mode=show`: the page is whole, computes what Keras computes, and every control works."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

import controllers
from ntm import NeuralTuringMachine, controller_input_output_shape
from runner import job
from runner.config import checks, saved
from runner.config.explain import options_of
from runner.config.schema import task_from
from runner.errors import ConfigError
from runner.reporting.show import PAGE, page_of
from runner.store.files import MODEL
from tasks import Batch, Copy, Task

from .browser import Browser, driver, needs_chromium, window
from .conftest import ROOT, Compose

SIZES = {
    "copy": {"length": 4},
    "repeat_copy": {"length": 2, "repeats": 2},
    "associative_recall": {"items": 2},
    "ngrams": {"length": 14},
    "priority_sort": {"items": 5},
}
ABOUT = "a machine for a test"


def settled(name: str, composed: Compose) -> DictConfig:
    """What `python run.py mode=show checkpoint=models/<name>` runs."""
    folder = ROOT / "models" / name
    groups = [
        f"{group}={option}" for group, option in saved.saved_names(folder, options_of).items()
    ]
    stated = ["mode=show", f"checkpoint={folder}"]
    return checks.resolve(composed(*groups, *stated), stated)[0]


def element(text: str, name: str) -> str:
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return found.group(1)


def model_of(controller: Any, task: Task, **sizes: Any) -> keras.Model:
    inputs = keras.Input((None, task.input_dim))
    machine = NeuralTuringMachine(
        task.output_dim, controller_model=controller, return_sequences=True, name="ntm", **sizes
    )
    return keras.Model(inputs, keras.layers.Activation("sigmoid")(machine(inputs)))


@pytest.fixture(scope="module")
def copy_task() -> Copy:
    return Copy(
        name="copy", lengths="batch", bits=3, zero_rate=0.0, near_duplicate_rate=0.0, min_length=1,
        max_length=5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy_page(composed: Compose, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shown")
    job.run(settled("copy", composed), folder)
    return folder / PAGE


def test_the_page_is_one_small_file_that_holds_the_weights(copy_page: Path) -> None:
    text = copy_page.read_text()
    assert len(text) < 1_000_000
    assert not re.search(r"""(src|href)=["'](?!data:|#)|@import|url\(|fetch\(|https?://""", text)
    assert "{{" not in text
    found = np.frombuffer(base64.b64decode(element(text, "weights")), "<f4")
    model = keras.models.load_model(ROOT / "models" / "copy" / MODEL, compile=False)
    expected = np.concatenate([np.ravel(weights) for weights in model.get_weights()])
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))
    assert json.loads(element(text, "data"))["task"]["name"] == "copy"
    assert json.loads((copy_page.parent / "status.json").read_text())["status"] == "finished"


WEIGHTS = re.compile(r'id="weights">.*?</script>', re.DOTALL)
DATA = re.compile(r'<title>.*?</title>|id="data">.*?</script>')


@pytest.mark.parametrize("name", sorted(SIZES))
def test_the_gallery_is_what_the_program_writes(name: str, copy_page: Path) -> None:
    """Of every model but copy, all that does not depend on the model."""
    kept = (ROOT / "docs" / "gallery" / f"{name}.html").read_text()
    written = copy_page.read_text()
    if name != "copy":
        kept, written = (WEIGHTS.sub("", DATA.sub("", text)) for text in (kept, written))
    same = kept == written  # Their difference is too long to be printed.
    assert same, "python docs/gallery/make.py writes the gallery"
    assert (ROOT / "docs" / "gallery" / f"{name}.png").stat().st_size < 100_000


def test_a_task_of_ones_own_is_not_taken_for_another(copy_task: Copy) -> None:
    class Own(Copy):
        """Has the name of a task that the page knows, but may be written otherwise."""

    own = Own(**dataclasses.asdict(copy_task))
    model = model_of(controllers.dense(1, width(own)), own, n_width=6, m_depth=4)
    text, _ = page_of(model, own, "own", ABOUT)
    assert json.loads(element(text, "data"))["task"]["name"] is None


def test_a_text_in_the_data_cannot_end_its_element(copy_task: Copy) -> None:
    model = model_of(controllers.dense(1, width(copy_task)), copy_task, n_width=6, m_depth=4)
    text, _ = page_of(model, copy_task, "</title>", "</script><b>")
    assert json.loads(element(text, "data"))["about"] == "</script><b>"
    assert "<title>&lt;/title&gt;" in text


def width(task: Task, read_heads: int = 1, write_heads: int = 1, shift_range: int = 3) -> int:
    """Output width of a controller, of a memory of width 4."""
    sizes = (task.input_dim, task.output_dim, 4, 6, shift_range, read_heads, write_heads)
    return controller_input_output_shape(*sizes)[1]


@pytest.fixture
def saved_run(composed: Compose, tmp_path: Path) -> Path:
    """A folder with what is looked at before a model is loaded."""
    (tmp_path / ".hydra").mkdir()
    (tmp_path / MODEL).write_bytes((ROOT / "models" / "copy" / MODEL).read_bytes())
    OmegaConf.save(composed("task=copy"), tmp_path / ".hydra/config.yaml")
    return tmp_path


def asked_of(folder: Path, composed: Compose, *stated: str) -> DictConfig:
    """What `python run.py mode=show checkpoint=<folder>` runs, with more that is stated."""
    given = ["mode=show", f"checkpoint={folder}", *stated]
    config = composed("task=copy")
    for override in given:
        key, _, value = override.partition("=")
        OmegaConf.update(config, key, int(value) if value.isdigit() else value)
    return checks.resolve(config, given)[0]


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (["seed=5"], "seed=5 cannot be used when a machine is shown"),
        (["evaluate.sequences=7"], "evaluate.sequences=7 cannot be used when a machine is shown"),
        (["resume=elsewhere"], "mode=show does not train"),
    ],
)
def test_what_a_page_does_not_use_is_refused(
    stated: list[str], message: str, composed: Compose, saved_run: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        asked_of(saved_run, composed, *stated)


def test_another_number_of_rows_may_be_stated(composed: Compose, saved_run: Path) -> None:
    assert asked_of(saved_run, composed, "ntm.n_width=77").ntm.n_width == 77


def test_a_model_without_a_memory_is_refused(composed: Compose, saved_run: Path) -> None:
    OmegaConf.save(composed("task=copy", "model=lstm"), saved_run / ".hydra/config.yaml")
    with pytest.raises(ConfigError, match=r"made with model=lstm, which has none: .*model=ntm"):
        asked_of(saved_run, composed)


def test_the_folder_of_a_page_is_no_run(composed: Compose, copy_page: Path) -> None:
    with pytest.raises(ConfigError, match="is the folder of a page, not of a training"):
        asked_of(copy_page.parent, composed)


# ---- in Chromium -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with driver() as found:
        yield found


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[Browser]:
    with window(address) as found:
        yield found


def show(text: str, browser: Browser, folder: Path) -> None:
    (folder / PAGE).write_text(text)
    browser.open(folder / PAGE)


# Runs the page's machine on inputs (T, input_dim), and says what it did.
RUN = """
const steps = run(machine, arguments[0].map((row) => Float32Array.from(row)));
const plain = (values) => Array.from(values);
return {
  outputs: steps.map((s) => plain(s.state.output)),
  probabilities: steps.map((s) => plain(s.probabilities)),
  memory: steps.map((s) => plain(s.state.memory)),
  weightings: steps.map((s) => s.state.weightings.map(plain)),
  reads: steps.map((s) => s.state.reads.map(plain)),
};
"""
# Inputs, targets and loss mask that the page writes for a content.
ENCODE = """
const found = kind.encode(task, arguments[0]);
const plain = (rows) => rows.map((row) => Array.from(row));
return { inputs: plain(found.inputs), targets: plain(found.targets),
         loss_mask: plain(found.loss_mask), optimal: found.optimal };
"""


def assert_runs_as_keras(browser: Browser, model: keras.Model, inputs: np.ndarray) -> None:
    """Outputs, memory, weightings and read vectors of every step, to 1e-4 of their size."""
    found = browser.run(RUN, inputs[0].tolist())
    trace = model.get_layer("ntm").trace(inputs)
    steps = inputs.shape[1]
    weightings = np.concatenate([trace["read_weights"], trace["write_weights"]], axis=2)
    expected = {
        "outputs": trace["outputs"],
        "probabilities": 1 / (1 + np.exp(-trace["outputs"])),
        "memory": trace["memory"].reshape(1, steps, -1),
        "weightings": weightings,
        "reads": trace["reads"],
    }
    for name, values in expected.items():
        close = {"rtol": 1e-4, "atol": 1e-4, "err_msg": name}
        np.testing.assert_allclose(np.asarray(found[name]), values[0], **close)


def content_of(task: Task, batch: Batch, sizes: dict[str, int]) -> dict[str, Any]:
    """What a person would have drawn to get the one sequence of a batch."""
    inputs, bits = batch.inputs[0], getattr(task, "bits", 1)
    if task.name in ("copy", "repeat_copy"):
        vectors = inputs[1 : 1 + sizes["length"], :bits].tolist()
        return {"vectors": vectors, "repeats": sizes.get("repeats")}
    if task.name == "ngrams":
        return {"bits": batch.targets[0].tolist()}
    if task.name == "priority_sort":
        shown = inputs[: sizes["items"]]
        return {
            "vectors": shown[:, :bits].tolist(), "priorities": shown[:, bits : bits + 1].tolist()
        }  # fmt: skip
    long, items = task.item_length, sizes["items"]  # type: ignore[attr-defined]
    by_item = inputs[: items * (long + 1), :bits].reshape(items, long + 1, bits)[:, 1:]
    query = items * (long + 1)
    shown_again = inputs[query + 1 : query + 1 + long, :bits]
    asked = next(k for k in range(items) if np.array_equal(by_item[k], shown_again))
    return {"vectors": by_item.reshape(-1, bits).tolist(), "asked": asked}


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_shipped_machine_does_in_the_page_what_it_does_in_keras(
    name: str, browser: Browser, composed: Compose, tmp_path: Path
) -> None:
    task = task_from(settled(name, composed))
    model = keras.models.load_model(ROOT / "models" / name / MODEL, compile=False)
    show(page_of(model, task, name, ABOUT)[0], browser, tmp_path)
    batch = task.sample(np.random.default_rng(0), 1, **SIZES[name])
    assert_runs_as_keras(browser, model, batch.inputs)

    written = browser.run(ENCODE, content_of(task, batch, SIZES[name]))
    for what in ("inputs", "targets", "loss_mask"):
        np.testing.assert_allclose(written[what], getattr(batch, what)[0], atol=1e-6)
    if name == "ngrams":
        assert batch.optimum is not None
        target, likely = batch.targets[0, :, 0], np.asarray(written["optimal"])
        cost = -np.log2(np.where(target > 0.5, likely, 1 - likely)).sum()
        assert cost == pytest.approx(batch.optimum[0])
    assert browser.complaints() == []


ODD = {
    "several heads, an even shift range, a stacked controller, a readout, row codes": (
        {"read_heads": 2, "write_heads": 3, "shift_range": 4, "readout_units": 5, "row_codes": 0.4,
         "write_gate_offset": 2.0, "write_shift_offset": 1.5},
        lambda i, o: controllers.lstm(i, o, units=[7, 6]),
    ),
    "a stack of cells, no projection": (
        {"read_to_output": False, "shift_range": 2, "gate_offset": -1.0, "sharpness_offset": 1.0},
        lambda i, o: keras.layers.StackedRNNCells(
            [keras.layers.LSTMCell(5), keras.layers.LSTMCell(o, activation="linear")]
        ),
    ),
    "activations": (
        {"write_heads": 2, "shift_range": 1},
        lambda i, o: keras.Sequential(
            [
                *(keras.layers.Dense(6, activation=name)
                  for name in ("relu", "elu", "selu", "gelu", "silu", "softsign", "softplus")),
                keras.layers.Dropout(0.5), keras.layers.Activation("tanh"),
                keras.layers.Dense(6, activation="hard_sigmoid", use_bias=False),
                keras.layers.Dense(o),
            ]
        ),
    ),
}  # fmt: skip


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("name", sorted(SIZES))
def test_sequences_of_all_tasks_can_be_made_in_the_gallery(
    name: str, browser: Browser, composed: Compose
) -> None:
    browser.open(ROOT / "docs" / "gallery" / f"{name}.html")
    task = task_from(settled(name, composed))
    sizes = dict.fromkeys(task.case_keys, task.smallest_size + 2)
    for key, size in sizes.items():
        browser.type(f"#size-{key}", f"{size}\ue007")
    assert browser.run("return steps.length") == task.steps(**sizes)
    if name == "associative_recall":
        browser.type("#size-asked", "3\ue007")
        assert view(browser, "content.asked") == 2
    if name == "priority_sort":
        browser.run(
            "go(1); element('priority').value = 0.99;"
            "element('priority').dispatchEvent(new Event('input'))"
        )
        second, targets = browser.run("return [view.content.vectors[1], sequence.targets[4]]")
        assert targets == second
    browser.type("#text", "Hello")
    browser.click("#use-text")
    written = "".join(f"{code:08b}" for code in b"Hello")
    vectors = browser.run("return (view.content.vectors ?? view.content.bits).flat().join('')")
    assert vectors.startswith(written)
    assert browser.complaints() == []


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("which", ODD)
def test_any_known_machine_does_in_the_page_what_it_does_in_keras(
    which: str, browser: Browser, copy_task: Copy, tmp_path: Path
) -> None:
    keras.utils.set_random_seed(1)
    sizes, controller = ODD[which]
    heads = [sizes.get(name, 1) for name in ("read_heads", "write_heads")]
    outputs = width(copy_task, *heads, shift_range=sizes["shift_range"])
    inputs = copy_task.input_dim + 4 * heads[0]
    model = model_of(controller(inputs, outputs), copy_task, n_width=6, m_depth=4, **sizes)
    model.set_weights([weights * 1.5 + 0.05 for weights in model.get_weights()])
    text, unknown = page_of(model, copy_task, which, ABOUT)
    assert unknown == []
    show(text, browser, tmp_path)
    x = np.random.default_rng(2).standard_normal((1, 9, copy_task.input_dim)).astype("float32")
    assert_runs_as_keras(browser, model, x)
    assert browser.complaints() == []


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(
    ("controller", "named"),
    [
        (lambda o: keras.layers.GRU(o, activation="linear", name="mine"), "GRUCell (the layer"),
        (
            lambda o: keras.Sequential(
                [keras.layers.Dense(4, activation=keras.ops.sin), keras.layers.Dense(o)]
            ),
            "the activation sin of the layer",
        ),
    ],
)
def test_a_page_says_which_controller_it_cannot_run(
    controller: Any, named: str, browser: Browser, copy_task: Copy, tmp_path: Path
) -> None:
    model = model_of(controller(width(copy_task)), copy_task, n_width=6, m_depth=4)
    text, unknown = page_of(model, copy_task, "unknown", ABOUT)
    show(text, browser, tmp_path)
    assert named in unknown[0]
    said = browser.text("#unknown")
    assert "cannot run this machine" in said
    assert unknown[0] in said
    assert not browser.run("return document.getElementById('works').checkVisibility()")
    assert browser.complaints() == []


def view(browser: Browser, name: str) -> Any:
    return browser.run(f"return view.{name}")


@pytest.mark.slow
@needs_chromium
def test_every_control_of_playing_does_what_it_says(browser: Browser, copy_page: Path) -> None:
    browser.open(copy_page)
    browser.click("#first")
    assert view(browser, "time") == 0
    browser.click("#next")
    browser.click("#next")
    browser.click("#back")
    assert browser.text("#step-number") == "2 of 22"
    assert browser.text("#phrase") == "Vector 1 of 10 comes in."
    browser.click("#last")
    assert view(browser, "time") == 21
    browser.run(
        "element('speed').value = '60'; element('speed').dispatchEvent(new Event('change'))"
    )
    browser.click("#play")
    assert browser.text("#play") == "Pause"
    browser.run("return new Promise((done) => setInterval(() => view.playing || done(1), 20))")
    assert view(browser, "time") == 21
    browser.run("element('scrub').value = 7; element('scrub').dispatchEvent(new Event('input'))")
    assert view(browser, "time") == 7
    for key, time in {"Right": 8, "Left": 7}.items():
        browser.press("#tape", key)
        assert view(browser, "time") == time
    before = browser.run("return document.documentElement.dataset.theme")
    browser.click("#theme")
    assert browser.run("return document.documentElement.dataset.theme") != before
    assert browser.complaints() == []


@pytest.mark.slow
@needs_chromium
def test_every_control_of_the_input_does_what_it_says(browser: Browser, copy_page: Path) -> None:
    browser.open(copy_page)
    first = view(browser, "content.vectors")
    browser.click("#random")
    assert view(browser, "content.vectors") != first
    browser.type("#size-length", "120")
    browser.press("#size-length", "Enter")
    assert browser.run("return steps.length") == 242
    assert "all 960 bits right" in browser.text("#verdict")
    browser.type("#text", "Hi!")
    browser.click("#use-text")
    # The letters in ASCII: 48, 69, 21 in hexadecimal.
    bits = [[int(bit) for bit in f"{code:08b}"] for code in (0x48, 0x69, 0x21)]
    assert view(browser, "content.vectors") == bits
    assert "Hi!" in browser.text("#verdict")
    browser.run("choose_square(0, 0)")
    browser.press("#input", "Right")
    browser.press("#input", "Enter")
    assert view(browser, "content.vectors") == [[1 - bits[0][0], *bits[0][1:]], *bits[1:]]
    assert browser.run("return sequence.targets[5][0]") == 1 - bits[0][0]
    browser.run(CLICK, "input", 2.5, 3.5, "width", "square")
    assert view(browser, "content.vectors")[1] == [*bits[1][:3], 1 - bits[1][3], *bits[1][4:]]
    browser.run(CLICK, "output", 6.5, 1, "width", "square")
    assert view(browser, "time") == 6
    assert browser.complaints() == []


# A click on a square of a canvas, counted in squares.
CLICK = """
const [id, across, down, width, height, left = 0] = arguments;
const box = element(id).getBoundingClientRect();
element(id).dispatchEvent(new MouseEvent("click", { bubbles: true,
  clientX: box.left + left + across * layout[width], clientY: box.top + down * layout[height] }));
"""


@pytest.mark.slow
@needs_chromium
def test_every_way_to_disturb_it_does_what_it_says(browser: Browser, copy_page: Path) -> None:
    browser.open(copy_page)
    assert "all 80 bits right" in browser.text("#verdict")
    browser.run("go(14)")  # The read head has read two vectors.
    weighting = "return Array.from(steps[arguments[0]].state.weightings[arguments[1]])"
    memory = "return Array.from(steps[view.time].state.memory)"
    undisturbed, stored = browser.run(weighting, 14, 0), np.reshape(browser.run(memory), (256, 20))
    row = int(np.argmax(undisturbed))

    browser.click("[data-head='0']")
    browser.click("#move-down")
    np.testing.assert_array_equal(browser.run(weighting, 14, 0), np.roll(undisturbed, 1))
    # It goes on from there, a row further than it should be: one vector is left out.
    assert int(np.argmax(browser.run(weighting, 15, 0))) == row + 2
    assert "bits wrong" in browser.text("#verdict")
    assert "After step 15: the read head moved down a row" in browser.text("#edits")
    browser.click("#move-up")
    np.testing.assert_array_equal(browser.run(weighting, 14, 0), undisturbed)
    browser.click("[data-edit='1']")
    assert len(view(browser, "edits")) == 1
    browser.click("#undo")
    assert view(browser, "edits") == []
    assert "all 80 bits right" in browser.text("#verdict")

    browser.type("#row", str(row + 1))
    browser.click("#blank")
    now = np.reshape(browser.run(memory), (256, 20))
    assert not now[row + 1].any()
    np.testing.assert_array_equal(np.delete(now, row + 1, 0), np.delete(stored, row + 1, 0))
    # What was on that row is lost, and nothing else.
    wrong = browser.run("return steps.map((s, t) => [...s.probabilities].some("
                        "(_, c) => wrong_bit(sequence, steps, t, c)))")  # fmt: skip
    assert [t for t, each in enumerate(wrong) if each] == [15]
    browser.click("#undo")

    browser.type("#row", str(row))
    browser.type("#column", "3")
    browser.click("#flip")
    assert np.reshape(browser.run(memory), (256, 20))[row, 3] == -stored[row, 3]
    browser.run("choose_number(rows.indexOf(arguments[0]), 4)", row)
    browser.press("#memory", "Enter")
    assert np.reshape(browser.run(memory), (256, 20))[row, 4] == -stored[row, 4]
    browser.run("choose_number(rows.indexOf(arguments[0]), 5)", row)
    browser.run(CLICK, "memory", 5.5, browser.run("return rows.indexOf(view.at.row)") + 0.5,
                "column", "row", browser.run("return GUTTER"))  # fmt: skip
    assert np.reshape(browser.run(memory), (256, 20))[row, 5] == -stored[row, 5]
    browser.click("#undo")

    gates = "return steps.map((s) => s.heads[0].gate)"
    free = browser.run(gates)
    browser.run("element('gate').value = 1; element('gate').dispatchEvent(new Event('input'))")
    browser.click("#freeze")
    browser.run("go(17)")
    browser.click("#release")
    frozen = browser.run(gates)
    assert frozen[:15] == free[:15]
    assert frozen[15:18] == [1, 1, 1]
    assert 1 not in frozen[18:]
    browser.click("#undo")

    browser.type("#n-width", "31")
    browser.press("#n-width", "Enter")
    assert browser.run("return steps[0].state.memory.length") == 31 * 20
    assert "all 80 bits right" in browser.text("#verdict")
    assert browser.complaints() == []


@pytest.mark.slow
@needs_chromium
def test_what_is_shown_of_a_step_is_what_the_machine_did(browser: Browser, copy_page: Path) -> None:
    browser.open(copy_page)
    browser.run("go(5)")
    said = browser.text("#cards")
    assert all(f"({number})" in said for number in range(2, 10))
    head = browser.run("const h = steps[5].heads[1]; return [h.strength, h.sharpness, h.gate]")
    for value, digits in zip(head, (2, 2, 3), strict=True):
        assert f"{value:.{digits}f}" in said
    browser.click("#numbers summary")
    key = browser.run("return steps[5].heads[1].key[0]")
    assert f"{key:.4f}".replace("-", "\u2212") in browser.text("#all-numbers")
    browser.click("#keys summary")
    assert browser.complaints() == []


@pytest.mark.slow
@needs_chromium
def test_everything_that_can_be_used_has_a_name(browser: Browser, copy_page: Path) -> None:
    browser.open(copy_page)
    assert (
        browser.unnamed(":is(button, input, select, canvas, fieldset, nav):not([hidden] *)") == []
    )


@pytest.mark.slow
@needs_chromium
def test_a_phone_need_not_scroll_sideways(address: str, copy_page: Path) -> None:
    with window(address, 390, 844) as phone:
        phone.open(copy_page)
        assert phone.run("return document.documentElement.scrollWidth") == 390
        phone.click("#next")
        phone.click("#play")
        assert phone.complaints() == []
