"""What the `_target_` of a task or a controller names, and the types of its values.

`task._target_` names a dataclass derived from `tasks.Task`, `controller._target_` a function of
`(input_dim, output_dim, ...)`, in this project or in any package that Python can import. Nothing is
called while a configuration is checked: the types are those of the dataclass, or of the signature.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.config import constraints, startup
from runner.errors import ConfigError
from tasks import Task
from tasks.cases import suggestion

TARGET = "_target_"
GROUPS = ("task", "controller")
CONF = Path(__file__).resolve().parents[2] / "conf"
LISTED = "`python run.py --cfg job` prints every key; conf/ says what each means."
# What a controller is called with: what it sees, and what is expected of it.
WIDTHS = ("input_dim", "output_dim")
MEANINGS = {"task": "a dataclass derived from tasks.Task", "controller": "a function"}


def typed(group: str, node: Any) -> DictConfig:
    """The values of a task or a controller with the types that its `_target_` gives them.

    Raises ConfigError for a target that is none, a key that it does not take, or a wrong type.
    """
    values: Any = OmegaConf.to_container(node) if isinstance(node, DictConfig) else node
    if not isinstance(values, Mapping) or not isinstance(values.get(TARGET), str):
        raise ConfigError(
            f"{group} has no {TARGET}: the option's YAML file names {MEANINGS[group]}, such as "
            f"{TARGET}: my_package.{'MyTask' if group == 'task' else 'my_controller'}."
        )
    schema = schema_of(group, values[TARGET])
    result: DictConfig = OmegaConf.structured(schema)
    hints = typing.get_type_hints(schema)
    for key, value in values.items():
        if key not in hints:
            near = suggestion(f"{group}.{key}", [f"{group}.{name}" for name in hints])
            raise ConfigError(f"there is no key '{group}.{key}'{near}. {LISTED}")
        try:
            result[key] = value
        except OmegaConfBaseException as error:
            expected = in_words(hints[key])
            reason = str(error).partition("\n")[0]
            must = f"{group}.{key} must be {expected}" if expected else reason
            raise ConfigError(
                f"{group}.{key}={value} is of the wrong type: {must}. {LISTED}"
            ) from None
    _check_declared(group, result)
    return result


def _check_declared(group: str, node: DictConfig) -> None:
    """Refuse the name of one option of this project with the target of another."""
    name, declared = OmegaConf.select(node, "name"), targets_of(group)
    if declared.get(name, node[TARGET]) != node[TARGET]:
        raise ConfigError(
            f"{group}.name={name} is the name of {declared[name]} and stands beside {group}."
            f"{TARGET}={node[TARGET]}: choose an option with {group}=... ({', '.join(declared)})."
        )


def task_class(target: str) -> type[Task]:
    """The dataclass that `task._target_` names. Raises ConfigError if it names anything else."""
    found = _imported("task", target)
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ConfigError(
            f"task.{TARGET}={target} is not {MEANINGS['task']}: that is what a task has to be."
        )
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise ConfigError(f"task.{TARGET}={target} lacks {', '.join(missing)} (see tasks.Task).")
    return found


def controller_function(target: str) -> Callable[..., Any]:
    """The function that `controller._target_` names. Raises ConfigError for anything else."""
    found = _imported("controller", target)
    first = tuple(inspect.signature(found).parameters)[:2] if inspect.isfunction(found) else ()
    if first != WIDTHS:
        raise ConfigError(
            f"controller.{TARGET}={target} is not a function of ({', '.join(WIDTHS)}, ...): that "
            "is what a controller has to be."
        )
    return typing.cast("Callable[..., Any]", found)


def arguments(node: Any) -> dict[str, Any]:
    """The values that the target of a typed node is called with, as plain Python values."""
    values: Any = OmegaConf.to_container(node, resolve=True)
    del values[TARGET]
    return dict(values)


@cache
def _options(group: str) -> dict[str, dict[str, Any]]:
    """The values of each option of conf/<group>/, by its name."""
    nodes = [_option(path) for path in sorted((CONF / group).glob("[!_]*.yaml"))]
    return {node["name"]: node for node in nodes}


def targets_of(group: str) -> dict[str, str]:
    """The `_target_` of each option of conf/<group>/, by its name."""
    return {name: node[TARGET] for name, node in _options(group).items()}


def without_recipe(group: str, name: str) -> dict[str, Any]:
    """The values that the file of an option of conf/<group>/ gives; none for another option."""
    return dict(_options(group).get(name, {}))


def keys(group: str, option: str) -> list[str]:
    """The keys of an option of conf/<group>/."""
    return list(_option(CONF / group / f"{option}.yaml"))


@cache
def _option(path: Path) -> dict[str, Any]:
    """The values of an option's file, over those of the options that it is based on."""
    data: Any = OmegaConf.to_container(OmegaConf.load(path))
    based_on = [name for name in data.pop("defaults", []) if isinstance(name, str)]
    values: dict[str, Any] = {}
    for name in based_on:
        if not name.startswith(("_", "/")):
            values |= _option(path.with_name(f"{name}.yaml"))
    return values | data.get(path.parent.name, data)


def _imported(group: str, target: str) -> Any:
    """What a dotted name refers to, imported as `import` would and not called."""
    module, _, name = target.rpartition(".")
    try:
        if module not in sys.modules:  # It may import Keras.
            startup.figures_to_files()
            with startup.native_notices():
                importlib.import_module(module)
        return pkgutil.resolve_name(f"{module}:{name}")
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{group}.{TARGET}={target} cannot be imported ({reason}). Name {MEANINGS[group]} as "
            "package.module.name, and install its package or put its folder on PYTHONPATH."
        ) from error


@cache
def schema_of(group: str, target: str) -> type:
    """A dataclass of the values of a target: its fields are the node's, `_target_` is one."""
    if group == "task":
        base = task_class(target)
        return dataclasses.make_dataclass(
            base.__name__, [(TARGET, str)], bases=(base,), kw_only=True
        )
    function = controller_function(target)
    hints = typing.get_type_hints(function)
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    fields: list[Any] = [(TARGET, str), ("name", str)]
    for parameter in list(inspect.signature(function).parameters.values())[len(WIDTHS) :]:
        if parameter.kind in named and parameter.name != "name":
            fields.append(_field(parameter, hints.get(parameter.name, Any)))
    return dataclasses.make_dataclass(function.__name__, fields, kw_only=True)


def _field(parameter: inspect.Parameter, hint: Any) -> tuple[str, Any, Any]:
    """A parameter of a controller as the field of a dataclass."""
    constraint = None
    if typing.get_origin(hint) is typing.Literal:
        constraint, hint = constraints.among(typing.get_args(hint)), str
    elif hint in (int, list[int]):
        constraint = constraints.AT_LEAST_ONE
    default: Any = {}
    if parameter.default is not parameter.empty:
        default = {"default_factory": lambda: parameter.default}
    return (
        parameter.name,
        hint,
        dataclasses.field(metadata={constraints.CONSTRAINT: constraint}, **default),
    )


def in_words(hint: Any) -> str | None:
    """A type as a message puts it; None for one that a configuration does not have."""
    if isinstance(hint, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
        words = IN_WORDS.get(kinds[0])
        return words and f"{words}, or null"
    return IN_WORDS.get(hint)


IN_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    list[int]: "a list of whole numbers such as [100,100]",
    list[float]: "a list of numbers such as [0.1,0.2]",
    list[str]: "a list of texts such as [a,b]",
}
