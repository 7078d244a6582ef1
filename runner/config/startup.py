"""A quiet start: TensorFlow without its page of notices, figures without a display."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def native_notices() -> Iterator[None]:
    """Hold back what native code writes to stderr while TensorFlow is imported.

    Some notices are written before any setting is read, so the file descriptor is diverted. If the
    import fails they are shown after all. TF_CPP_MIN_LOG_LEVEL=0 shows everything.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)


def figures_to_files() -> None:
    """Let no notebook or shell choose a backend for Matplotlib, whose figures here are files.

    `MPLBACKEND` may name one that is not installed, and Keras imports pyplot, which loads it.
    """
    os.environ["MPLBACKEND"] = "agg"


@contextmanager
def no_collection() -> Iterator[None]:
    """Import TensorFlow without the garbage collector, which goes through 650,000 objects for it.

    All of them stay, so it leaves them out later, too. Only the first time in a process: what one
    job has left over is still to be collected before the next.
    """
    if "tensorflow" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
