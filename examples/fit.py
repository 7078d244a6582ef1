"""Train the layer with `fit`: six vectors of four bits come in, then a flag; it repeats them."""

import os

import keras
import numpy as np

from ntm import NeuralTuringMachine, controller_input_output_shape

SEQUENCES, EPOCHS = int(os.environ.get("SEQUENCES", 8192)), int(os.environ.get("EPOCHS", 8))

vectors = np.random.default_rng(0).integers(0, 2, (SEQUENCES, 6, 4))
inputs = np.pad(vectors, ((0, 0), (0, 7), (0, 1)))  # (sequences, 13 steps, 4 bits and the flag)
inputs[:, 6, 4] = 1
targets = np.pad(vectors, ((0, 0), (7, 0), (0, 0)))
scored = np.arange(13) > 6

_, width = controller_input_output_shape(5, 4, 8, 16, 3, read_heads=1, write_heads=1)
controller = keras.Sequential([keras.layers.Dense(64, "tanh"), keras.layers.Dense(width)])
machine = NeuralTuringMachine(
    4, 16, 8, controller_model=controller, activation="sigmoid", return_sequences=True
)
model = keras.Sequential([keras.Input((None, 5)), machine])
optimizer = keras.optimizers.Adam(5e-3, clipnorm=5.0)
model.compile(
    optimizer, "binary_crossentropy", weighted_metrics=["binary_accuracy"], jit_compile=True
)
weights = np.tile(scored, (SEQUENCES, 1)).astype("float32")
model.fit(inputs, targets, sample_weight=weights, batch_size=32, epochs=EPOCHS, verbose=2)
