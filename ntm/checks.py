"""Arguments of the machine that make no machine: each check names the argument and what it was."""

import math
import numbers
import operator


def counts(least=1, **values):
    """Whole numbers of at least `least`, NumPy's too; returns them as a list of `int`."""
    for name, value in values.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return [operator.index(value) for value in values.values()]


def known_width(shape):
    """The last entry of an input's shape, which weights are made for."""
    if shape[-1] is None:
        raise ValueError(
            f"the last axis of the input's shape {tuple(shape)} must be known, because weights are "
            "made for it: give keras.Input its width"
        )
    return shape[-1]


def shifts_fit(shift_range, n_width):
    """No more shifts than rows."""
    if shift_range > n_width:
        raise ValueError(
            f"shift_range={shift_range} is more than the n_width={n_width} rows there are to shift "
            "over: lower shift_range or raise n_width"
        )


def share(**values):
    """From 0 to below 1."""
    for name, value in values.items():
        if not _is_number(value) or not 0 <= value < 1:
            raise ValueError(f"{name} must be a share from 0 to below 1, not {value!r}")


def at_least_zero(**values):
    """Numbers from 0, not infinite."""
    for name, value in values.items():
        if not _is_number(value) or not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a number of at least 0, not {value!r}")


def above_zero_or_none(**values):
    """A number above 0, not infinite, or None."""
    for name, value in values.items():
        if value is not None and (not _is_number(value) or not 0 < value < math.inf):
            raise ValueError(f"{name} must be None or a number above 0, not {value!r}")


def finite(**values):
    """Any number but infinity and NaN."""
    for name, value in values.items():
        if not _is_number(value) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, not {value!r}")


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
