"""Registers the layer with Keras as soon as there is Keras, without importing it.

A saved model loads after `import ntm`, whichever of the two was imported first. `import ntm` alone
costs milliseconds all the same, which a program that only needs `ntm.Perturbation` relies on.
"""

import importlib
import sys
from importlib.abc import MetaPathFinder

LAYER = "ntm.layer"


class _Watch(MetaPathFinder):
    """Imports the layer once Keras has been imported, and leaves.

    Modules are found as without it. One of ours may be the first to import Keras, and the layer may
    need it whole: so nothing happens before the outermost of all those watched has been imported.
    """

    def __init__(self):
        self.depth = 0

    def find_spec(self, name, path=None, target=None):
        if name != "keras" and not name.startswith("ntm."):
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = self._watched(spec.loader.exec_module)
            spec.loader.exec_module = execute  # type: ignore[method-assign]
        return spec

    def _watched(self, execute):
        def exec_module(module):
            self.depth += 1
            try:
                execute(module)
            finally:
                self.depth -= 1
            if not self.depth and "keras" in sys.modules and self in sys.meta_path:
                sys.meta_path.remove(self)
                importlib.import_module(LAYER)

        return exec_module


def register():
    """Import the layer now if Keras is imported, else when it is."""
    if "keras" in sys.modules:
        importlib.import_module(LAYER)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())
