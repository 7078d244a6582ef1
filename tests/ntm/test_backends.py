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

# Else most of the time goes into optimising JAX's programs, which run once each, and into compiling
# the same loop again for each layer that has it.
QUICK = {
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_all_tests_pass(backend: str, tmp_path: Path) -> None:
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed (extra `{backend}`)")
    programs = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    environment = {**os.environ, "KERAS_BACKEND": backend, **QUICK, **programs}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests = [f"tests/ntm/{test}" for test in NEUTRAL]
    done = subprocess.run(
        [*command, "-m", "slow or not slow", *tests],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
