"""Controllers for the Neural Turing Machine.

One contract: a function of `(input_dim, output_dim, ...sizes)` returns an unbuilt Keras layer or
`Sequential` that maps `input_dim` numbers (the input and all read vectors) to `output_dim` (the
output and every head's instructions), with a linear last activation.

The annotations of its other parameters are the types of its values in the configuration: bool, int,
float, str, lists of these, and `Literal` for a choice. Whole numbers are sizes, at least 1, and a
list of them holds at least one. Keras is imported where a layer is made, so that a configuration is
checked without it.
"""

from controllers.dense import dense
from controllers.feedforward import feedforward
from controllers.lstm import lstm

double_dense = feedforward  # by its name in the predecessor of this project

__all__ = ["dense", "double_dense", "feedforward", "lstm"]
