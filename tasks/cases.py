"""Cases: the sizes of sequences as text, such as `length=10,repeats=20`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

# Of a sequence: the steps of all tasks then are whole numbers of 64 bits.
LARGEST_SIZE = 2**31 - 1


def format_case(sizes: Mapping[str, int]) -> str:
    """Return the name of a case: `{"length": 10, "repeats": 20}` is `"length=10,repeats=20"`."""
    return ",".join(f"{key}={size}" for key, size in sizes.items())


def parse_case(text: str, keys: Sequence[str], smallest: int) -> dict[str, int]:
    """Return the sizes that a case names, in the order of `keys`.

    keys: the names of the sizes, each of which is to be given once.
    smallest: the smallest value of each.

    Raises ValueError that says what is wrong.
    """
    sizes: dict[str, int] = {}
    for part in text.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise ValueError(f"{part.strip()!r} has no '='")
        if key not in keys:
            raise ValueError(f"it has no size {key!r}{suggestion(key, keys)}")
        if key in sizes:
            raise ValueError(f"{key} is given twice")
        sizes[key] = _size(key, value, smallest)
    missing = [key for key in keys if key not in sizes]
    if missing:
        raise ValueError(f"{', '.join(missing)} is missing")
    return {key: sizes[key] for key in keys}


def _size(key: str, text: str, smallest: int) -> int:
    # Python reads no number of thousands of digits.
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if len(digits) > len(str(LARGEST_SIZE)) or int(digits or 0) > LARGEST_SIZE:
        raise ValueError(f"{key} is larger than {LARGEST_SIZE}")
    if int(digits or 0) < smallest:
        raise ValueError(f"{key}={text} is not a whole number of at least {smallest}")
    return int(digits)


def suggestion(given: str, known: Iterable[str]) -> str:
    """Text such as " (did you mean 'length'?)" for a near miss, otherwise empty."""
    near = difflib.get_close_matches(given, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
