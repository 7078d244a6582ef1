"""Which device a run uses, decided before TensorFlow touches any."""

from __future__ import annotations

import tensorflow as tf

from runner.errors import ConfigError


def choose(device: str) -> str:
    """Make only the devices of `device` (auto, cpu or gpu) visible, and return the one used.

    Memory of a GPU is taken as it is needed, so that others can use it too. All visible GPUs are
    used: each batch is split over them. Raises ConfigError when there is no GPU to use.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not gpus:
        raise ConfigError(
            "device=gpu, but TensorFlow sees no GPU: use device=cpu or device=auto, or install "
            "the GPU build (pip install '.[gpu]') and check the driver with nvidia-smi"
        )
    if device == "cpu":
        if tf.config.list_logical_devices("GPU"):
            raise ConfigError(
                "device=cpu, but an earlier run of this process already uses the GPU: "
                "run it in a process of its own"
            )
        tf.config.set_visible_devices([], "GPU")
        return "cpu"
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # An earlier run of this process has set it and uses the GPU already.
    return "gpu" if gpus else "cpu"
