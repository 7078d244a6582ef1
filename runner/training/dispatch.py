"""Steps that are computed while Python prepares the next ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import tensorflow as tf

# So many steps may be handed over before the result of one is there.
AHEAD = 2


@contextmanager
def async_dispatch() -> Iterator[None]:
    """Let this thread's steps be computed while Python prepares the next ones.

    What fails is raised where its result is read, or at a later step, and all that was handed over
    after it is dropped: variables then are as the last sound step left them.
    """
    tf.config.experimental.set_synchronous_execution(False)
    try:
        yield
        tf.config.experimental.set_synchronous_execution(True)
    except BaseException:
        # What fails may be on its way: an operation behind it waits for that, and fails with it.
        with suppress(tf.errors.OpError):
            tf.add(0.0, 0.0).numpy()
        # Until then everything else fails, too.
        tf.experimental.async_clear_error()
        tf.config.experimental.set_synchronous_execution(True)
        raise
