"""The errors of a person's making: each has a message that says what would be right."""


class ConfigError(Exception):
    """The configuration asks for something that cannot be done; the message says what would."""


class RunError(Exception):
    """A run that cannot go on, for a reason that the message explains."""


class Refused(BaseException):
    """Carries its cause past Hydra's callbacks, which turn every Exception into a warning."""
