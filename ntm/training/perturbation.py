"""What is random in training, as numbers: imports neither Keras nor a backend."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ntm import checks


def _deviation() -> Any:
    return dataclasses.field(default=0.0, metadata={"check": checks.at_least_zero})


def _share() -> Any:
    return dataclasses.field(default=0.0, metadata={"check": checks.share})


@dataclasses.dataclass(kw_only=True)
class Perturbation:
    """Noise on the machine in training; with all fields zero there is none.

    With s for a standard deviation or a share, eps for normal numbers of their own for every
    sequence, each kind drawn as its sentence says. `ntm.training.noise` draws and applies them.

    Args:
        state_noise: s of c + s eps_t on the last state c of each recurrent cell of the controller
            (the cell state of an LSTM), new at every step.
        state_drift: s of c + s eps on the same states, eps the same at every step of a sequence.
        memory_noise: s of M[i, j] + s eps_j on the memory that a sequence begins with, the same in
            all rows i.
        memory_clutter: s of M[i, j] + s |eps| eps_ij on that memory, |eps| one a sequence; times
            `Schedule.clutter_scale`.
        read_noise: s of r + s eps_t on the read vectors that the controller sees, new at every
            step; those that reach the output have none.
        weighting_leak: largest share a of w + a (1 / N - w) before every step, a uniform in [0, s),
            one a head and sequence.
        weighting_drift: largest share a of w + a (w shifted by one row - w) before every step,
            a uniform in [-s, s), one a head and sequence; its sign is the direction.

    Raises:
        ValueError: for a deviation below 0, or a share outside of [0, 1).
    """

    state_noise: float = _deviation()
    state_drift: float = _deviation()
    memory_noise: float = _deviation()
    memory_clutter: float = _deviation()
    read_noise: float = _deviation()
    weighting_leak: float = _share()
    weighting_drift: float = _share()

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            field.metadata["check"](**{field.name: getattr(self, field.name)})

    def __bool__(self) -> bool:
        """Whether anything is random."""
        return any(self.as_dict().values())

    def as_dict(self) -> dict[str, Any]:
        """Every field by name, for a configuration."""
        return dataclasses.asdict(self)

    @classmethod
    def of(cls, given: Any) -> "Perturbation":
        """What a layer's argument says, a `Perturbation` (a copy is made), its fields, or None.

        Raises ValueError for anything else.
        """
        if isinstance(given, cls):
            return dataclasses.replace(given)
        if given is None:
            return cls()
        if not isinstance(given, Mapping):
            raise ValueError(f"perturbation must be an ntm.Perturbation, not {given!r}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise ValueError(
                    f"perturbation has no field {name!r}: choose among {', '.join(known)}"
                )
        return cls(**given)
