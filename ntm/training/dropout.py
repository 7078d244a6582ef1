"""Dropout in a cell whose controller may drop as well."""

import contextlib

from keras import ops

from ntm._keras import DropoutRNNCell, dropout_masks_of, set_dropout_masks


class DropoutWithController(DropoutRNNCell):
    """For a cell with `self.controller`: one mask a sequence for its inputs, and for each of the
    cells inside of its controller.
    """

    def drop(self, inputs):
        """The inputs (B, input_dim) of a step through this sequence's mask."""
        return inputs * ops.cast(super().get_dropout_mask(inputs), inputs.dtype)

    def get_dropout_mask(self, step_input):
        """Called by `keras.layers.RNN` before its loop: draws the controller's masks as well."""
        self.controller.prepare_dropout(ops.shape(step_input)[0])
        return super().get_dropout_mask(step_input)

    def reset_dropout_mask(self):
        """Called by `keras.layers.RNN` after its loop."""
        self.controller.reset_dropout()
        super().reset_dropout_mask()

    def dropout_masks(self):
        """All masks in use now, for `use_dropout_masks`."""
        masks = [(self, dropout_masks_of(self))]
        for cell in self.controller.cells_with_dropout():
            nested = isinstance(cell, DropoutWithController)
            masks.extend(cell.dropout_masks() if nested else [(cell, dropout_masks_of(cell))])
        return masks

    @contextlib.contextmanager
    def use_dropout_masks(self, masks):
        """Steps inside of it see these masks: a step computed again must drop the same values."""
        before = self.dropout_masks()
        _put_back(masks)
        try:
            yield
        finally:
            _put_back(before)


def _put_back(masks):
    for cell, drawn in masks:
        set_dropout_masks(cell, drawn)
