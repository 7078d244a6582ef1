"""Export a trained machine, and use it where this project is not installed: TensorFlow alone.

`python examples/export.py [FOLDER]`
"""

import subprocess
import sys
from pathlib import Path

import keras

import ntm  # noqa: F401 (registers the layer, which Keras loads)

ROOT = Path(__file__).parent.parent
folder = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "outputs" / "exported")

model = keras.models.load_model(ROOT / "models" / "copy" / "model.keras", compile=False)
model.export(folder, format="tf_saved_model", verbose=False)

ELSEWHERE = """
import sys, absl.logging, numpy as np, tensorflow as tf
absl.logging.set_verbosity("error")  # the gradients that it warns of are of no use here
served = tf.saved_model.load(sys.argv[1])
letters = np.unpackbits(np.frombuffer(b"memory", np.uint8)[:, None], axis=1)
inputs = np.zeros((1, 2 * 6 + 2, 10), np.float32)
inputs[0, 0, 8] = inputs[0, 7, 9] = 1  # the flags before and after the letters
inputs[0, 1:7, :8] = letters
print(np.packbits(served.serve(inputs)[0, 8:] > 0.5).tobytes().decode())
"""
subprocess.run([sys.executable, "-I", "-c", ELSEWHERE, folder], check=True)
