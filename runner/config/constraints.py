"""What a value may be beyond its type, stated beside its field.

    n_width: int = at_least_one()

puts a `Constraint` into the metadata of a dataclass' field, and `check` compares the values of a
configuration with those of its fields. A value that is null has none; of a list each item is
compared.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from runner.errors import ConfigError
from tasks.cases import suggestion

CONSTRAINT = "constraint"
# Sizes and counts of TensorFlow and NumPy on every machine, and of the seeds that both take.
LARGEST, LARGEST_SEED = 2**31 - 1, 2**32 - 1
LARGEST_FLOAT = 3.4028234663852886e38  # of float32


@dataclasses.dataclass(frozen=True)
class Constraint:
    """Which values are allowed.

    words: completes "key=value must be ...".
    choices: the allowed texts, if they can be listed.
    largest: of a whole number.
    """

    allowed: Callable[[Any], bool]
    words: str
    choices: Sequence[str] = ()
    largest: int = LARGEST

    def field(self) -> Any:
        """A dataclass' field without a default whose values are constrained so."""
        return dataclasses.field(metadata={CONSTRAINT: self})


def at_least_one() -> Any:
    """A whole number above 0."""
    return AT_LEAST_ONE.field()


def at_least_zero() -> Any:
    """A whole number that is not negative."""
    return Constraint(lambda value: value >= 0, "at least 0").field()


def positive() -> Any:
    """A finite number above 0."""
    return Constraint(lambda value: 0 < value < math.inf, "larger than 0 and finite").field()


def finite() -> Any:
    """A finite number."""
    return Constraint(math.isfinite, "a finite number").field()


def share() -> Any:
    """A number from 0 to below 1."""
    return Constraint(lambda value: 0 <= value < 1, "at least 0 and less than 1").field()


def one_of(choices: Iterable[str]) -> Any:
    """One of these texts."""
    return among(choices).field()


def seed() -> Any:
    """A whole number that seeds NumPy's and TensorFlow's generators."""
    words = f"0 or more, and at most {LARGEST_SEED}"
    return Constraint(lambda value: 0 <= value <= LARGEST_SEED, words, largest=LARGEST_SEED).field()


def among(choices: Iterable[str]) -> Constraint:
    """That a text is one of these."""
    known = tuple(choices)
    return Constraint(lambda value: value in known, f"one of {', '.join(known)}", known)


AT_LEAST_ONE = Constraint(lambda value: value >= 1, "at least 1")


def check(node: DictConfig, prefix: str = "") -> None:
    """Compare each value of a typed configuration with its constraint. Raises ConfigError.

    prefix: the key of the node with a dot at its end.
    """
    fields = getattr(OmegaConf.get_type(node), "__dataclass_fields__", {})
    values: dict[str, Any] = {str(key): value for key, value in node.items()}
    for key, value in values.items():
        if isinstance(value, DictConfig):
            check(value, f"{prefix}{key}.")
        else:
            metadata = fields[key].metadata if key in fields else {}
            _check_value(f"{prefix}{key}", value, metadata.get(CONSTRAINT))


def _check_value(key: str, value: Any, constraint: Constraint | None) -> None:
    if constraint is not None and value == [] and not constraint.choices:
        raise ConfigError(f"{key}=[] must name the size of at least one layer, e.g. [100].")
    items: Iterable[Any] = value if isinstance(value, ListConfig) else [value]
    for item in items:
        if item is None:
            continue
        if constraint is not None and not constraint.allowed(item):
            raise ConfigError(_refusal(key, value, item, constraint))
        _check_representable(key, value, item, constraint.largest if constraint else LARGEST)


def _refusal(key: str, value: Any, item: Any, constraint: Constraint) -> str:
    if not constraint.choices:
        return f"{key}={value} must be {constraint.words}."
    near = suggestion(item, constraint.choices)
    return f"{key}={value} is not known{near}: choose {constraint.words}."


def _check_representable(key: str, value: Any, item: Any, largest: int) -> None:
    """Refuse a number that no array can have as its size, and no float32 as its value."""
    if isinstance(item, int) and item > largest:
        raise ConfigError(f"{key}={value} must be at most {largest}.")
    if isinstance(item, float) and LARGEST_FLOAT < abs(item) < math.inf:
        raise ConfigError(
            f"{key}={value} is beyond float32, whose largest number is {LARGEST_FLOAT:.1e}."
        )
