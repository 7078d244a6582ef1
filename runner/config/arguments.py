"""The arguments of the project's own commands, beside run.py."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from runner.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """Raises ConfigError for what a person got wrong: it is explained as everywhere else.

    Its epilog is shown line by line as it stands.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}. `{self.prog} --help` says what to state.")
