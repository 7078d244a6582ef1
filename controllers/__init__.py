"""Controllers for the Neural Turing Machine.

One contract: a function of `(input_dim, output_dim, ...sizes)` returns an unbuilt Keras layer or
`Sequential` that maps `input_dim` numbers (the input and all read vectors) to `output_dim` (the
output and every head's instructions), with a linear last activation.
"""

from controllers.dense import dense
from controllers.double_dense import double_dense
from controllers.lstm import lstm

__all__ = ["dense", "double_dense", "lstm"]
