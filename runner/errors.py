"""What a person reads when the configuration or a run cannot be used as it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(Exception):
    """The configuration asks for something that cannot be done; the message says what would."""


def nearest(given: str, known: Iterable[str]) -> str:
    """Text such as `, did you mean 'lstm'?` for a near miss, otherwise empty."""
    close = difflib.get_close_matches(given, list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
