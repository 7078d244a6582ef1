"""The configuration: what composes, what wins, what is refused before anything heavy starts."""

import dataclasses
import re
import subprocess
import sys

import pytest
import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from runner.config import checks, command_line, schema, targets
from runner.config.schema import GROUPS, OPTIONS, task_from
from runner.errors import ConfigError
from tasks import RepeatCopy

from .conftest import ROOT, TASKS, Compose

EXPERIMENTS = sorted(
    path.relative_to(ROOT / "conf/experiment").with_suffix("").as_posix()
    for path in (ROOT / "conf/experiment").rglob("[!_]*.yaml")
)

# Heads, size and learning rate of the NTMs, layers and rate of the LSTM alone: the paper, tables
# 1 to 3.
PAPER = {
    "copy": ((1, 100), (1, [100]), 1e-4, [256] * 3, 3e-5),
    "repeat_copy": ((1, 100), (1, [100]), 1e-4, [512] * 3, 3e-5),
    "associative_recall": ((4, 256), (1, [100]), 1e-4, [256] * 3, 1e-4),
    "ngrams": ((1, 100), (1, [100]), 3e-5, [128] * 3, 1e-4),
    "priority_sort": ((8, 512), (5, [100, 100]), 3e-5, [128] * 3, 3e-5),
}


def test_the_default_is_the_copy_task_with_an_ntm(composed: Compose) -> None:
    config = composed()
    chosen = {group: config[group].name for group in GROUPS}
    assert chosen == {
        "task": "copy",
        "model": "ntm",
        "controller": "lstm",
        "optimizer": "adam",
    }
    assert checks.resolve(config, []) == (config, [])


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_a_file_and_every_file_a_type(group: str, composed: Compose) -> None:
    """A file may be another set of values for an option, as `wide_dense` is of `double_dense`."""
    files = {path.stem for path in (ROOT / "conf" / group).glob("*.yaml")}
    assert files >= set(OPTIONS.get(group, ()))
    for option in files:
        config = schema.with_types(composed(f"{group}={option}"))
        assert config[group].name == ("double_dense" if option == "wide_dense" else option)
        fields = {field.name for field in dataclasses.fields(OmegaConf.get_type(config[group]))}
        assert fields == set(config[group])


@pytest.mark.parametrize(
    "task",
    [task if task == "copy" else pytest.param(task, marks=pytest.mark.slow) for task in TASKS],
)
def test_every_task_takes_every_controller_model_and_optimizer(
    task: str, composed: Compose
) -> None:
    for group in ("controller", "model", "optimizer"):
        for option in OPTIONS.get(group, ("dense", "double_dense", "feedforward", "lstm")):
            config, warnings = checks.resolve(composed(f"task={task}", f"{group}={option}"), [])
            assert config[group].name == option
            assert warnings == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_passes_the_checks(name: str, composed: Compose) -> None:
    _, warnings = checks.resolve(composed(f"experiment={name}"), [])
    assert warnings == []


@pytest.mark.parametrize("task", PAPER)
def test_the_presets_of_the_paper_have_its_settings(task: str, composed: Compose) -> None:
    (heads, size), (lstm_heads, lstm_units), rate, layers, layers_rate = PAPER[task]
    dense = composed(f"experiment=paper/{task}_feedforward")
    lstm = composed(f"experiment=paper/{task}_lstm")
    alone = composed(f"experiment=paper/{task}_lstm_alone")

    assert (dense.ntm.read_heads, dense.ntm.write_heads) == (heads, heads)
    assert targets.arguments(dense.controller) == {
        "name": "feedforward", "units": size, "activation": "tanh"
    }  # fmt: skip
    assert (lstm.ntm.read_heads, lstm.ntm.write_heads) == (lstm_heads, lstm_heads)
    assert targets.arguments(lstm.controller) == {"name": "lstm", "units": lstm_units}
    assert alone.model == {"name": "lstm", "units": layers}
    assert [c.optimizer.learning_rate for c in (dense, lstm, alone)] == [rate, rate, layers_rate]
    for config in (dense, lstm, alone):
        own = dict(composed(f"task={task}").task)
        items = 20 if task == "priority_sort" else 2
        papers = {
            "zero_rate": 0.0,
            "near_duplicate_rate": 0.0,
            "random_count_rate": 0.0,
            "min_items": items,
            "lengths": "batch",
        }
        assert config.task == own | {key: papers[key] for key in papers.keys() & own.keys()}
        assert (config.ntm.n_width, config.ntm.m_depth) == (128, 20)
        offsets = ("gate_offset", "write_gate_offset", "write_shift_offset", "sharpness_offset")
        assert {config.ntm[aid] for aid in (*offsets, "row_codes", "readout_units")} == {0}
        assert set(config.ntm.perturbation.values()) == {0}
        assert config.ntm.state_clip_norm is None
        assert config.trainer.curriculum is None
        assert config.trainer.restarts == 0
        optimizer = {key: config.optimizer[key] for key in ("name", "rho", "momentum", "epsilon")}
        assert optimizer == {"name": "rmsprop", "rho": 0.95, "momentum": 0.9, "epsilon": 1e-4}
        assert config.optimizer.centered
        assert config.optimizer.clip_value == 10
        assert config.optimizer.schedule == "constant"
        assert (config.trainer.clip_norm, config.trainer.ema_decay) == (None, None)
        assert config.trainer.steps * config.trainer.batch_size == 1_000_000


def test_the_seed_preset_has_the_seeds_settings(composed: Compose) -> None:
    config = composed("experiment=seed")
    assert (config.task.name, config.task.min_length, config.task.max_length) == ("copy", 5, 20)
    assert (config.trainer.batch_size, config.trainer.steps) == (100, 10_000)
    assert config.controller.name == "dense"
    assert not config.ntm.read_to_output
    assert (config.ntm.read_heads, config.ntm.write_heads) == (1, 1)


def test_the_command_line_wins_over_an_experiment_and_that_over_a_recipe(
    composed: Compose,
) -> None:
    recipe = composed("task=copy")
    preset = composed("experiment=seed")
    stated = composed("experiment=seed", "controller=double_dense", "optimizer.learning_rate=7")
    assert recipe.controller.name not in ("dense", "double_dense")
    assert preset.controller.name == "dense"
    assert stated.controller.name == "double_dense"
    rates = {config.optimizer.learning_rate for config in (recipe, preset, stated)}
    assert len(rates) == 3
    assert stated.optimizer.learning_rate == 7


def test_a_task_describes_its_sequences_alone() -> None:
    for name in TASKS:
        found = OmegaConf.load(ROOT / "conf/task" / f"{name}.yaml")
        assert isinstance(found, DictConfig)
        assert set(found) == {"defaults", "task"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ntm.read_heads=0", "ntm.read_heads=0 must be at least 1"),
        ("ntm.write_heads=0", "ntm.write_heads=0 must be at least 1"),
        ("ntm.shift_range=0", "ntm.shift_range=0 must be at least 1"),
        (
            "ntm.gradient_checkpointing=0",
            "ntm.gradient_checkpointing=0 must be at least 1",
        ),
        ("ntm.shift_range=257", "ntm.shift_range=257 is larger than ntm.n_width=256"),
        ("ntm.m_depth=0", "ntm.m_depth=0 must be at least 1"),
        ("ntm.n_width=0", "ntm.n_width=0 must be at least 1"),
        ("task.min_length=30", "task.min_length=30 is larger than task.max_length=20"),
        ("task.lengths=both", "choose one of batch, sequence"),
        ("trainer.steps=0", "trainer.steps=0 must be at least 1"),
        ("trainer.batch_size=-1", "trainer.batch_size=-1 must be at least 1"),
        ("trainer.shards=0", "trainer.shards=0 must be at least 1"),
        ("trainer.ema_decay=1", "trainer.ema_decay=1.0 must be at least 0 and less than 1"),
        ("trainer.clip_norm=0", "trainer.clip_norm=0.0 must be larger than 0"),
        ("ntm.gate_offset=inf", "ntm.gate_offset=inf must be a finite number"),
        ("ntm.write_gate_offset=inf", "ntm.write_gate_offset=inf must be a finite number"),
        ("ntm.write_shift_offset=nan", "ntm.write_shift_offset=nan must be a finite number"),
        ("ntm.sharpness_offset=nan", "ntm.sharpness_offset=nan must be a finite number"),
        ("ntm.row_codes=inf", "ntm.row_codes=inf must be a finite number"),
        ("trainer.curriculum=0", "trainer.curriculum=0 must be at least 1"),
        ("trainer.restarts=-1", "trainer.restarts=-1 must be at least 0"),
        ("ntm.perturbation.state_noise=-1", "ntm.perturbation.state_noise must be a number of at"),
        ("ntm.perturbation.read_noise=inf", "ntm.perturbation.read_noise must be a number of at"),
        ("ntm.perturbation.weighting_leak=1", "ntm.perturbation.weighting_leak must be a share"),
        ("optimizer.learning_rate=0", "optimizer.learning_rate=0.0 must be larger than 0"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate=nan must be larger than 0"),
        ("optimizer.schedule=cosin", "did you mean 'cosine'?"),
        ("controller.activation=tanhh", "did you mean 'tanh'?"),
        ("controller.units=0", "controller.units=0 must be at least 1"),
        ("evaluate.cases=['lenght=3']", "did you mean 'length'?"),
        ("evaluate.cases=[]", "evaluate.cases=[] is empty"),
        ("trainer.profile=[5,4]", "trainer.profile=[5, 4] must be the first and the last step"),
        (
            "trainer.profile=[10001,10002]",
            "begins after the last step: state steps of the training",
        ),
        ("trainer.profile=[0,4]", "trainer.profile=[0, 4] must be the first and the last step"),
        ("evaluate.cases=[[length=3]]", "evaluate.cases=[['length=3']] must be a plain list"),
        ("evaluate.sequences=0", "evaluate.sequences=0 must be at least 1"),
        ("figures.format=[png,jpg]", "choose one of png, pdf, svg, gif"),
        ("figures.style=papr", "did you mean 'paper'?"),
        ("seed=-1", "seed=-1 must be 0 or more"),
        ("seed=4294967296", "seed=4294967296 must be 0 or more, and at most 4294967295"),
        ("ntm.n_width=2147483648", "ntm.n_width=2147483648 must be at most 2147483647"),
        ("task.bits=9223372036854775808", "task.bits=9223372036854775808 must be at most"),
        ("optimizer.learning_rate=1.0e+300", "optimizer.learning_rate=1e+300 is beyond float32"),
        (
            "ntm.perturbation.memory_noise=.inf",
            "memory_noise must be a number of at least 0, not inf",
        ),
        ("evaluate.cases=['length=2147483648']", "length is larger than 2147483647"),
        ("trainer.clip_norm=${oc.env:NOPE_X}", "trainer.clip_norm refers to what does not exist"),
        ("device=cuda", "choose one of auto, cpu, gpu"),
        ("mode=eval", "choose one of train, evaluate, show"),
        ("mode=evaluate", "mode=evaluate needs the run to evaluate: checkpoint=<run folder>"),
        ("mode=show", "mode=show needs the run to show: checkpoint=<run folder>"),
        ("checkpoint=somewhere", "add mode=evaluate or mode=show, or write resume=somewhere"),
        ("resume=nowhere", "resume=nowhere is not a folder"),
        ("controller.name=lstm", "choose an option with controller=..."),
        ("controller._target_=os.system", "choose an option with controller=..."),
        ("task.bits=many", "task.bits=many is of the wrong type: task.bits must be a whole number"),
        ("controller.units=many", "controller.units=many is of the wrong type: controller.units m"),
        ("+task.bitss=3", "there is no key 'task.bitss' (did you mean 'task.bits'?)"),
        ("+ntm.width=3", "there is no key 'ntm.width' (did you mean 'ntm.n_width'?)"),
        ("+speed=3", "there is no key 'speed'"),
        ("trainer.steps=???", "trainer.steps has no value"),
        ("ntm.m_depth=${nothing}", "ntm.m_depth refers to what does not exist"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_would_be_right(
    override: str, message: str, composed: Compose
) -> None:
    key, _, value = override.partition("=")
    config = composed("controller=feedforward")
    OmegaConf.update(config, key.lstrip("+"), yaml.safe_load(value), force_add=key[0] == "+")
    with pytest.raises(ConfigError, match=re.escape(message)):
        checks.resolve(config, [override])


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        (
            ("optimizer.amsgrad=true", "optimizer=rmsprop"),
            "optimizer.amsgrad=True does nothing without optimizer=adam",
        ),
        (
            ("optimizer={amsgrad: true}", "optimizer=rmsprop"),
            "optimizer.amsgrad=True does nothing without optimizer=adam",
        ),
        (
            ("trainer.quadratic_clip=true",),
            "trainer.quadratic_clip=True does nothing without trainer.clip_norm=... or",
        ),
        (
            ("trainer.state_clip_growth=10", "ntm.state_clip_norm=null"),
            "trainer.state_clip_growth=10.0 does nothing without ntm.state_clip_norm=...",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(
    stated: tuple[str, ...], message: str, composed: Compose
) -> None:
    """Where a person asks for it; beside what lets it act it is not."""
    with pytest.raises(ConfigError, match=re.escape(message)):
        checks.resolve(composed(*stated), stated)
    acting = [*stated[:1], "trainer.clip_norm=1", "ntm.state_clip_norm=1"]
    checks.resolve(composed(*acting), acting)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("trainer.rollback=2", "trainer.rollback=2 must be true or false"),
        ("ntm.read_to_output=-1", "ntm.read_to_output=-1 must be true or false"),
    ],
)
def test_a_flag_is_true_or_false(given: str, message: str, composed: Compose) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        checks.resolve(composed(given), [given])
    for right in ("true", "0", "off"):
        stated = f"{given.partition('=')[0]}={right}"
        checks.resolve(composed(stated), [stated])


def test_a_model_without_heads_has_no_animation_of_them(composed: Compose) -> None:
    stated = ["model=lstm", "figures.format=[png,gif]"]
    with pytest.raises(ConfigError, match=r"model=lstm has none: leave gif out"):
        checks.resolve(composed(*stated), stated)
    checks.resolve(composed(stated[1]), stated[1:])


def test_the_largest_seed_is_taken(composed: Compose) -> None:
    config = composed("seed=4294967295")
    assert checks.resolve(config, []) == (config, [])


def test_a_number_that_float32_takes_for_zero_is_not_refused(composed: Compose) -> None:
    checks.resolve(composed("optimizer.epsilon=1e-46"), [])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("nothing", ["null", "", "NULL"])
def test_a_group_without_an_option_is_refused(group: str, nothing: str) -> None:
    with pytest.raises(ConfigError, match=f"{group}={nothing} chooses nothing"):
        command_line.complete([f"{group}={nothing}"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("recipe=null", "recipe=null chooses nothing: leave it out, or write recipe=..."),
        ("experiment=null", "experiment=null chooses nothing: leave it out, or write experiment"),
        ("~task", "~task chooses nothing: write task=... with one of associative_recall, copy,"),
        ("=5", "=5 names no key: write key=value"),
    ],
)
def test_what_chooses_nothing_is_refused_with_what_could_be_chosen(
    given: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        command_line.complete([given])


def test_a_case_has_one_name_however_it_is_written(composed: Compose) -> None:
    """The result of the deciding case says whether the task is solved: it is found by its name."""
    written = (
        "evaluate.cases=['repeats=10, length=010','length=20,repeats=3','length=10,repeats=10']"
    )
    config = composed("task=repeat_copy", written)
    cases = schema.cases_from(config, schema.task_from(config))
    assert cases == ["length=10,repeats=10", "length=20,repeats=3"]


def test_the_references_of_a_command_line_are_not_looked_up(composed: Compose) -> None:
    """Hydra keeps what was stated in a list that resolves what it is read for."""
    stated = OmegaConf.create(["hydra.job.name=${oc.env:NOPE_X}"])
    assert isinstance(stated, ListConfig)
    checks.resolve(composed(), stated)


@pytest.mark.parametrize("units", [[], [100, 0]])
def test_every_layer_of_an_lstm_has_a_size(units: list[int], composed: Compose) -> None:
    config = composed("controller=lstm")
    config.controller.units = units
    with pytest.raises(ConfigError, match=re.escape("controller.units=[")):
        checks.resolve(config, [])


def test_a_memory_too_small_for_the_task_is_a_warning(composed: Compose) -> None:
    enough, too_small = composed(), composed()
    enough.ntm.n_width, too_small.ntm.n_width = 20, 19
    assert checks.validate(enough) == []
    [warning] = checks.validate(too_small)
    assert "ntm.n_width=19 is less than the 20 rows" in warning
    without_memory = composed("model=lstm")
    without_memory.ntm.n_width = 19
    assert checks.validate(without_memory) == []


def test_the_configured_task_is_built(composed: Compose) -> None:
    task = task_from(composed("task=repeat_copy", "task.max_repeats=7"))
    assert isinstance(task, RepeatCopy)
    assert task.solved_case() == "length=10,repeats=7"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("evaluate.cases=[length=5,length=7]", 'evaluate.cases=["length=5","length=7"]'),
        ("evaluate.cases=length=5", 'evaluate.cases=["length=5"]'),
        (
            "evaluate.cases=[length=5,repeats=2,repeats=3,length=1]",
            'evaluate.cases=["length=5,repeats=2","repeats=3,length=1"]',
        ),
        ('evaluate.cases=["length=5"]', 'evaluate.cases=["length=5"]'),
        ("evaluate.cases=null", "evaluate.cases=null"),
        (
            "evaluate.cases=[length=5],[length=10,length=20],null",
            'evaluate.cases=["length=5"],["length=10","length=20"],null',
        ),
        (
            "evaluate.cases=[length=5,repeats=2],[length=1,repeats=3]",
            'evaluate.cases=["length=5,repeats=2"],["length=1,repeats=3"]',
        ),
        ("trainer.steps=3", "trainer.steps=3"),
    ],
)
def test_cases_need_no_quotes(written: str, meant: str) -> None:
    assert command_line.complete(["-m", written]) == ["-m", meant]


def test_nothing_heavy_is_imported_to_show_or_refuse_a_configuration() -> None:
    """TensorFlow alone takes seconds; help and errors are to answer at once."""
    script = """
import runpy, sys
for arguments in (["--help"], ["--cfg", "job"], ["ntm.read_heads=0"]):
    sys.argv = ["run.py", *arguments]
    try:
        runpy.run_path("run.py", run_name="__main__")
    except SystemExit:
        pass
print({"tensorflow", "keras", "matplotlib", "tensorboard", "rich"} & set(sys.modules), "imported")
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("set() imported\n")
    assert "ntm.read_heads=0 must be at least 1" in done.stderr
