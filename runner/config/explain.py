"""What Hydra's and OmegaConf's errors mean, in one paragraph for the person who caused them.

Their own messages name neither the nearest valid key nor where the valid ones are listed.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator, Sequence

import yaml
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from runner.config import machine, names, plugins, targets
from runner.config.schema import GROUPS, OPTIONS
from runner.config.targets import CONF, LISTED
from runner.errors import ConfigError, RunError
from tasks.cases import suggestion

MAIN = ("config", "hydra/config")
# Files that packages bring: the option that needs them, and the extra that installs it.
EXTRAS = {
    "hydra/launcher/submitit_slurm": ("hydra/launcher=slurm", "slurm"),
    "hydra/sweeper/sampler/tpe": ("hydra/sweeper=optuna", "optuna"),
}
ENGINES = {"hydra.launcher": "hydra/launcher", "hydra.sweeper": "hydra/sweeper"}


def explain(error: BaseException) -> str | None:
    """Return one paragraph for an error that a person can cause, None for any other."""
    if isinstance(error, ConfigError | RunError):
        return _one_line(str(error))
    from_machine = machine.reason(error)
    if from_machine is not None:
        return _one_line(from_machine)
    if _left_a_job(error):
        return None
    if isinstance(error, MissingConfigException):
        return _missing_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error)
    if isinstance(error, ConfigCompositionException):
        return _not_composed(error)
    if isinstance(error, HydraException | OmegaConfBaseException | yaml.YAMLError):
        return _one_line(str(error))
    return _one_line(str(error)) if _raised_by_hydra(error) else None


def unknown_key(given: str, root: DictConfig) -> str:
    """Return the message for a key that the configuration `root` does not have."""
    if given in names.RENAMED:
        return f"{names.note(given)}: state it by that name."
    if given in names.REMOVED:
        return f"there is no key {given!r} any more: {names.REMOVED[given]}."
    parent, _, name = given.rpartition(".")
    options = options_of(parent) if parent in GROUPS else []
    owners = [option for option in sorted(options) if name in _keys(parent, option)]
    if owners:
        hint = f"with {parent}={root[parent].name}; it belongs to {parent}={', '.join(owners)}"
        return f"there is no key {given!r} {hint}."
    if parent in ENGINES and not _near_key(given, root):
        return f"there is no key {given!r}{_of_another_engine(ENGINES[parent], name)}."
    within = f"hydra.{parent}"
    if within in ENGINES:
        return f"there is no key {given!r}: Hydra's own begin with hydra., as in {within}.{name}."
    return f"there is no key {given!r}{_near_key(given, root)}. {LISTED}"


def _of_another_engine(group: str, name: str) -> str:
    """Which options of a group of Hydra have a key, which the present one has not."""
    owners = [
        path.stem
        for path in sorted((CONF / group).glob("*.yaml"))
        if name in (yaml.safe_load(path.read_text()) or {})
    ]
    if owners:
        return f" with this {group}; it belongs to {group}={', '.join(owners)}"
    return f". `python run.py {group}=... --cfg hydra` prints those of an option"


def _near_key(given: str, root: DictConfig) -> str:
    """Text such as ` (did you mean 'trainer.steps'?)`, from the same level before any other."""
    known = [key for key in reversed(list(_dotted(root))) if key != given]
    parent, _, name = given.rpartition(".")
    siblings = [key for key in known if key.rpartition(".")[0] == parent]
    if parent and siblings:
        near = _by_name(name, siblings)
    else:
        near = suggestion(given, [*known, *_groups()])
    return near or ("" if given.startswith("hydra") else _by_name(name, known))


def _by_name(name: str, keys: Sequence[str]) -> str:
    """Text that suggests the key whose last part is nearest to `name`."""
    key_of = {key.rpartition(".")[2]: key for key in keys}
    near = suggestion(name, key_of)
    return re.sub("'(.*)'", lambda match: repr(key_of[match[1]]), near)


def _missing_option(error: MissingConfigException) -> str:
    """For a group's option that does not exist, such as `controller=lstmm`."""
    path = error.missing_cfg_file
    if path is None or error.options is None:
        return _one_line(str(error).partition("Config search path:")[0])
    if path in EXTRAS:
        return plugins.missing(*EXTRAS[path])
    depth = 2 if path.startswith("hydra/") else 1
    group, given = "/".join(path.split("/")[:depth]), "/".join(path.split("/")[depth:])
    options = sorted({*error.options, *options_of(group)})
    text = f"{_place(str(error))}{group}={given} does not exist{suggestion(given, options)}. "
    text += f"The options of {group} are {', '.join(options)}"
    return f"{text}."


def _unreadable(error: OverrideParseException) -> str:
    """For an argument that is not in Hydra's grammar."""
    reason = _one_line(error.message.partition("See https")[0])
    return (
        f"cannot read {error.override!r} ({reason}). Write key=value, and quote a value that "
        """holds '=', ',' or spaces: 'key="a=b, c"'."""
    )


def _not_composed(error: ConfigCompositionException) -> str:
    """For a key or a value that the schema refuses, on the command line or in a file."""
    several = re.match("(?:Ambiguous value for argument|Sweep parameters) '(.*)'", str(error))
    if several:
        return (
            f"{several[1]} holds several values: add -m to run a job for each of them, or write "
            "key=[a,b] where a list is meant."
        )
    cause = error.__cause__ or error.__context__
    if not isinstance(cause, OmegaConfBaseException) or cause.parent_node is None:
        return _one_line(str(error).partition("\nTo append to your")[0])
    root = cause.parent_node._get_root()
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        given = re.match("Could not override '([^']+)'", str(error))
        key = given[1] if given and given[1] not in _dotted(root) else str(cause.full_key)
        return _place(str(error)) + unknown_key(key, root)
    return _place(str(error)) + _refused_value(str(error), cause, root)


def _refused_value(message: str, cause: OmegaConfBaseException, root: DictConfig) -> str:
    """For a value of the wrong type, or one put where there is none."""
    key = re.sub(r"\[\d+\]$", "", str(cause.full_key))
    override = re.match("Error merging override (.*)", message)
    value = re.match("Value '(.*)' of type", str(cause))
    given = override[1] if override else f"{key}={value[1]}" if value else key
    if given.startswith("~"):
        return f"{given}: {key} cannot be removed, only set to another value."
    node = OmegaConf.select(root, key)
    if isinstance(node, DictConfig):
        return f"{given}: {key} holds several values ({', '.join(node)}): set one of them."
    expected = _expected(key, root)
    if expected is None:
        return f"{given}: {_one_line(str(cause).partition('full_key')[0])}."
    return f"{given} is of the wrong type: {key} must be {expected}. {LISTED}"


def _expected(key: str, root: DictConfig) -> str | None:
    """Return what the value of a key must be, in words; None if the schema does not say."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(root, parent, throw_on_missing=False) if parent else root
    hints = typing.get_type_hints(OmegaConf.get_type(node) or object)
    hint = hints.get(name)
    return targets.in_words(hint)


def _place(message: str) -> str:
    """Return `conf/<file>.yaml: ` when Hydra's message blames a file other than the main one."""
    match = re.match("In '([^']+)'", message)
    return f"conf/{match[1]}.yaml: " if match and match[1] not in MAIN else ""


def _dotted(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key of a configuration, dots between levels, Hydra's own last."""
    for key in sorted(node, key=lambda key: key == "hydra"):
        yield f"{prefix}{key}"
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_missing():
            yield from _dotted(child, f"{prefix}{key}.")


def _keys(group: str, option: str) -> list[str]:
    """The keys of an option of a group."""
    if group in targets.GROUPS:
        return targets.keys(group, option)
    node = OPTIONS[group].get(option)
    return [field.name for field in dataclasses.fields(node)] if node else []


def _groups() -> list[str]:
    """The groups of conf/, such as `task` and `hydra/launcher`."""
    return [*(path.name for path in CONF.iterdir() if path.is_dir()), "hydra/launcher"]


def options_of(group: str) -> list[str]:
    """The options of a group that are files of conf/, such as `paper/copy_lstm`."""
    folder = CONF / group
    files = folder.rglob("[!_]*.yaml")
    return [path.relative_to(folder).with_suffix("").as_posix() for path in files]


def _left_a_job(error: BaseException) -> bool:
    """Whether a job raised the error, which is then ours and not Hydra's."""
    return any(
        frame.f_code.co_name == "return_value" and _module(frame) == "hydra.core.utils"
        for frame in _frames(error)
    )


def _raised_by_hydra(error: BaseException) -> bool:
    """Whether Hydra itself raised the error, such as for options that exclude each other."""
    frames = _frames(error)
    return isinstance(error, ValueError) and bool(frames) and _module(frames[-1])[:6] == "hydra."


def _frames(error: BaseException) -> list[types.FrameType]:
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


def _module(frame: types.FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _one_line(text: str) -> str:
    return " ".join(text.split())
