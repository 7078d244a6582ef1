"""Registers the layer with Keras as soon as there is Keras, without importing it.

A saved model loads after `import ntm`, whichever of the two was imported first. `import ntm` alone
costs milliseconds all the same, which a program that only needs `ntm.Perturbation` relies on.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder

LAYER = "ntm.layer"


class _AfterKeras(MetaPathFinder):
    """Finds Keras as the other finders do, and imports the layer once Keras has been imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = self._with_layer(spec.loader.exec_module)
            spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec

    def _with_layer(self, execute):
        def exec_module(module):
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                importlib.import_module(LAYER)

        return exec_module


def register():
    """Import the layer now if Keras is imported, else when it is."""
    if "keras" in sys.modules:
        importlib.import_module(LAYER)
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())
