"""A training step of this project against the same machine in stock Keras.

Both train the same cell on the same batch: batch 32, 20 steps, N 128, M 20, an LSTM of 100. Ours is
`runner.training.step.TrainingStep` with its default settings; the other is
`keras.layers.RNN(NTMCell)` under `fit` with Keras' default compilation, which is a TensorFlow graph
without XLA on a CPU.

    python benchmarks/step.py
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import _common as common

ROUNDS, STEPS_A_ROUND = 7, 20


def main() -> None:
    common.head(__doc__.splitlines()[0])
    ours = common.Trainer(f"trainer.batch_size={common.BATCH}", *common.TWENTY_STEPS)
    inputs, targets, *_ = batch = ours.batch()
    contestants = {
        "this project": lambda: ours.train(itertools.repeat(batch), STEPS_A_ROUND),
        "stock RNN under fit": _stock(ours, inputs, targets),
    }
    medians = common.alternate(contestants, ROUNDS)
    base = medians["this project"]
    print(f"{ours.step.shards} shards; median of {ROUNDS} rounds of {STEPS_A_ROUND} steps")
    common.table(
        ("training step", "ms", "times this project's"),
        [
            (name, common.milliseconds(seconds / STEPS_A_ROUND), seconds / base)
            for name, seconds in medians.items()
        ],
    )


def _stock(ours: common.Trainer, inputs: Any, targets: Any) -> Callable[[], Any]:
    """Trains the cell of `ours`, from the same weights, with what Keras offers by itself."""
    import keras
    import tensorflow as tf

    cell = keras.models.clone_model(ours.model).get_layer("ntm").cell
    seen = keras.Input((None, ours.task.input_dim))
    logits = keras.layers.RNN(cell, return_sequences=True)(seen)
    model = keras.Model(seen, keras.layers.Activation("sigmoid")(logits))
    model.set_weights(ours.model.get_weights())
    model.compile(keras.optimizers.Adam(1e-3, global_clipnorm=10.0), "binary_crossentropy")
    data = tf.data.Dataset.from_tensors((inputs, targets)).repeat(STEPS_A_ROUND)
    return lambda: model.fit(data, verbose=0, shuffle=False)


if __name__ == "__main__":
    main()
