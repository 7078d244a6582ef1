"""The layer's tests once more on JAX and on PyTorch, each in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# All that does not name a backend.
NEUTRAL = [
    "test_addressing.py",
    "test_clipping.py",
    "test_controller.py",
    "test_dropout.py",
    "test_heads.py",
    "test_keras_checks.py",
    "test_layer.py",
    "test_memory.py",
    "test_perturbation.py",
    "test_precision.py",
    "test_saving.py",
    "test_seed_readme.py",
    "test_sizes.py",
    "test_trace.py",
]


def start(backend: str, tests: list[str], *options: str) -> subprocess.Popen[str]:
    # Most of the time would go into optimising programs that run once.
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.Popen(
        [*command, *(f"tests/ntm/{test}" for test in tests)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def assert_passes(run: subprocess.Popen[str]) -> None:
    output, _ = run.communicate()
    assert run.returncode == 0, output[-5000:]


def installed() -> list[str]:
    return [name for name in ("jax", "torch") if importlib.util.find_spec(name)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "which"),
    # JAX compiles each program for seconds: it has the tests that every change runs.
    [("jax", "not slow"), ("torch", "slow or not slow")],
)
def test_the_tests_pass(backend: str, which: str) -> None:
    if backend not in installed():
        pytest.skip(f"{backend} is not installed (extra `{backend}`)")
    assert_passes(start(backend, NEUTRAL, "-m", which))
