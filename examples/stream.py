"""Step by step, with the state in hand: a trained machine copies a word, a letter at a time."""

from pathlib import Path

import keras
import numpy as np

import ntm  # noqa: F401 (registers the layer, which Keras loads)

path = Path(__file__).parent.parent / "models" / "copy" / "model.keras"
cell = keras.models.load_model(path, compile=False).get_layer("ntm").cell

word = b"memory"
letters = np.unpackbits(np.frombuffer(word, np.uint8)[:, None], axis=1)
start, end, blank = np.eye(10)[8], np.eye(10)[9], np.zeros(10)
said = []
states = cell.get_initial_state(1)  # all that the machine knows; keep it, copy it, go back to it
for step in (start, *np.pad(letters, ((0, 0), (0, 2))), end, *[blank] * len(word)):
    logits, states = cell(step[None].astype("float32"), states)
    said.append(chr(np.packbits(np.asarray(logits) > 0)[0]))
print("".join(said[-len(word) :]))
