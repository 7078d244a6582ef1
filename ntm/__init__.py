"""The Neural Turing Machine as a Keras recurrent layer.

`import ntm` registers the layer with Keras, under the names `ntm>NeuralTuringMachine` and
`ntm>NTMCell`: a saved model with it loads without `custom_objects` after that. Keras imports no
package by itself, and says `Could not locate class 'NeuralTuringMachine'` where it is missing.
Neither Keras nor a backend is imported before one of them is needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ntm import _registration
from ntm.training.perturbation import Perturbation
from ntm.training.schedule import Schedule

if TYPE_CHECKING:
    from ntm.cell import NTMCell
    from ntm.heads import controller_input_output_shape
    from ntm.layer import NeuralTuringMachine
    from ntm.state import NTMState

__all__ = [
    "NTMCell",
    "NTMState",
    "NeuralTuringMachine",
    "Perturbation",
    "Schedule",
    "controller_input_output_shape",
]

# What needs Keras, by the module it is in.
_HOMES = {
    "NTMCell": "cell",
    "NTMState": "state",
    "NeuralTuringMachine": "layer",
    "controller_input_output_shape": "heads",
}
_MODULES = ("addressing", "cell", "controller", "heads", "layer", "memory")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"ntm.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'ntm' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ntm.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})


_registration.register()
