"""All that the machine takes of Keras which Keras does not promise to keep.

Nothing else in this package reaches for a private name. Each entry says what to do where a release
of Keras has it no more; pyproject.toml states the releases that are tested.
"""

from keras.src.backend import AutocastScope
from keras.src.layers.rnn.dropout_rnn_cell import DropoutRNNCell as _DropoutRNNCell

__all__ = [
    "DropoutRNNCell",
    "check_input",
    "dropout_masks_of",
    "is_activation",
    "layers_inside",
    "set_dropout_masks",
    "takes_training",
    "without_autocast",
]


# The only kind of cell for which `keras.layers.RNN` draws dropout masks before its loop and forgets
# them after it. It has `get_dropout_mask`, `reset_dropout_mask`, the same for `recurrent_dropout`,
# and keeps what it has drawn in the two attributes that `dropout_masks_of` reads.
# Gone: the first base class of `keras.layers.LSTMCell` with a `get_dropout_mask`; without any, draw
# the masks in `NeuralTuringMachine.inner_loop`.
DropoutRNNCell = _DropoutRNNCell


def dropout_masks_of(cell):
    """`(of the inputs, of the state)`, what a `DropoutRNNCell` has drawn; None where nothing is.

    Gone: look where `DropoutRNNCell.get_dropout_mask` puts it, here and in `set_dropout_masks`.
    """
    return getattr(cell, "_dropout_mask", None), getattr(cell, "_recurrent_dropout_mask", None)


def set_dropout_masks(cell, masks):
    """Makes a `DropoutRNNCell` use what `dropout_masks_of` returned."""
    cell._dropout_mask, cell._recurrent_dropout_mask = masks


def without_autocast():
    """A scope in which the value of a variable has the variable's own type.

    Gone: cast the `_value` of the variable in `ntm.recurrence.loop.full_precision`, or take the
    `autocast=False` that a layer's constructor knows.
    """
    return AutocastScope(None)


def check_input(layer, inputs):
    """Refuses inputs that do not fit a layer's `input_spec`, as a call of it does.

    Gone: compare the shape with `layer.input_spec`.
    """
    layer._assert_input_compatibility(inputs)


def takes_training(layer):
    """Whether a layer's `call` has the argument `training`.

    Gone: ask `inspect.signature(layer.call)`.
    """
    return layer._call_has_training_arg


def layers_inside(model):
    """A model and all layers that it is made of, at any depth.

    Gone: walk `model.layers`, and those of the layers that are models.
    """
    return model._flatten_layers()


def is_activation(layer):
    """Whether a layer is an activation and nothing else, such as `keras.layers.ReLU`.

    Gone: name the classes, `keras.layers.ReLU` to `keras.layers.Softmax`.
    """
    return type(layer).__module__.startswith("keras.src.layers.activations")
