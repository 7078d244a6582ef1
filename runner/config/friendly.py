"""Errors that end with one paragraph for a person instead of a stack trace."""

from __future__ import annotations

import os
import select
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from runner.config import machine
from runner.config.explain import explain
from runner.errors import Refused, RunError


@contextmanager
def friendly() -> Iterator[None]:
    """Run a Hydra application so that a person's errors end in one paragraph on stderr.

    The exit status is 2 for a configuration that cannot be used, 1 for a `RunError`, 130 for an
    interrupt, and 141 where whoever read the output, such as `head`, has closed it. Any other error
    is a bug and keeps its stack trace (status 1). With HYDRA_FULL_ERROR=1 every error shows one.
    """
    asked = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # else Hydra prints and exits by itself
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Refused as refused:
        _stop(refused.__cause__ or refused, with_trace=asked == "1")
    except Exception as error:
        _stop(error, with_trace=asked == "1")
    finally:
        if asked is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = asked


def _stop(error: BaseException, with_trace: bool) -> None:
    """End the process with the paragraph that explains `error`; raise it if there is none."""
    if isinstance(error, BrokenPipeError) and _nobody_reads():
        raise SystemExit(141) from None  # as a shell reports SIGPIPE
    text = explain(error)
    if text is None:
        raise error
    if with_trace:
        traceback.print_exception(error)
    run_stopped = isinstance(error, RunError) or machine.reason(error) is not None
    print(f"{'The run stopped' if run_stopped else 'Configuration error'}: {text}", file=sys.stderr)
    raise SystemExit(1 if run_stopped else 2) from None


def _nobody_reads() -> bool:
    """Whether the standard output is closed at its other end; it is thrown away from then on."""
    output = sys.stdout.fileno()
    watch = select.poll()
    watch.register(output, 0)
    if not watch.poll(0):  # An event that was not asked for: an error, or the other end is gone.
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True
