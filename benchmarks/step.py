"""A training step of this project against the same machine in stock Keras.

Both train the same cell on the same batch: batch 32, 20 steps, N 128, M 20, an LSTM of 100. Ours is
`runner.step.TrainingStep`; the other is `keras.layers.RNN(NTMCell)` under `fit` with Keras' default
compilation, which is a TensorFlow graph without XLA on a CPU. Rounds alternate, so that other work
on the machine slows both; the medians' ratio is what counts.

    python benchmarks/step.py
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np
import tensorflow as tf

from controllers import lstm
from ntm import NeuralTuringMachine, NTMCell, controller_input_output_shape
from runner.step import TrainingStep

BATCH, STEPS, BITS, ROWS, COLUMNS, UNITS = 32, 20, 8, 128, 20, 100
ROUNDS, STEPS_A_ROUND = 7, 20


def controller() -> keras.Model:
    widths = controller_input_output_shape(BITS + 2, BITS, COLUMNS, ROWS, 3, 1, 1)
    return lstm(*widths, units=[UNITS])


def model_of(layer: keras.layers.Layer) -> keras.Model:
    inputs = keras.Input((None, BITS + 2))
    outputs = keras.layers.Activation("sigmoid", name="probabilities")(layer(inputs))
    return keras.Model(inputs, outputs)


def adam() -> keras.optimizers.Optimizer:
    return keras.optimizers.Adam(1e-3, global_clipnorm=10.0)


def main() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (BATCH, STEPS, BITS + 2)).astype("float32")
    targets = rng.integers(0, 2, (BATCH, STEPS, BITS)).astype("float32")
    weights, mask = np.ones_like(targets), np.ones((BATCH, STEPS), bool)

    ours = model_of(
        NeuralTuringMachine(
            BITS, ROWS, COLUMNS, controller_model=controller(), return_sequences=True, name="ntm"
        )
    )
    cell = NTMCell(BITS, ROWS, COLUMNS, controller_model=controller())
    stock = model_of(keras.layers.RNN(cell, return_sequences=True))
    stock.set_weights(ours.get_weights())
    stock.compile(adam(), "binary_crossentropy")
    step = TrainingStep(ours, adam(), BATCH, clip_norm=10.0)
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(STEPS_A_ROUND)

    def train_ours() -> float:
        for _ in range(STEPS_A_ROUND):
            result = step(inputs, targets, weights, mask)
        return float(result.loss_bits)

    def train_stock() -> float:
        history = stock.fit(data, verbose=0, shuffle=False)
        return float(history.history["loss"][-1])

    times: dict[str, list[float]] = {"this project": [], "stock RNN under fit": []}
    for number in range(ROUNDS + 1):
        for name, train in zip(times, (train_ours, train_stock), strict=True):
            start = time.perf_counter()
            train()
            if number:  # The first round compiles.
                times[name].append((time.perf_counter() - start) / STEPS_A_ROUND)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"batch {BATCH}, {STEPS} steps, N {ROWS}, M {COLUMNS}, LSTM-{UNITS}; TensorFlow "
        f"{tf.__version__}, Keras {keras.__version__}, {step.shards} shards on "
        f"{len(os.sched_getaffinity(0))} cores; median of {ROUNDS} rounds of {STEPS_A_ROUND} steps"
    )
    for name, seconds in medians.items():
        print(f"{name:20s} {1e3 * seconds:8.1f} ms a step")
    first, second = medians.values()
    print(f"{'ratio':20s} {second / first:8.2f}")


if __name__ == "__main__":
    main()
