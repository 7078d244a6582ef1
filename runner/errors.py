"""The errors of a person's making: each has a message that says what would be right."""


class ConfigError(Exception):
    """The configuration asks for something that cannot be done; the message says what would."""


class RunError(Exception):
    """A run that cannot go on, for a reason that the message explains."""


class Refused(BaseException):
    """Carries its cause past Hydra's callbacks, which turn every Exception into a warning."""


class PrunedError(Exception):
    """A trial of a search was ended because others did better; `value` is what it had reached."""

    def __init__(self, value: float, step: int) -> None:
        super().__init__(
            f"ended at step {step} with {value:.4g} bits, behind the other trials of its search"
        )
        self.value = value
