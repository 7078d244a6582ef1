"""The Neural Turing Machine as a Keras recurrent layer.

`import ntm` registers the layer with Keras, under the names `ntm>NeuralTuringMachine` and
`ntm>NTMCell`: a saved model with it loads without `custom_objects` after that. Keras imports no
package by itself, and says `Could not locate class 'NeuralTuringMachine'` where it is missing.
"""

from ntm.cell import NTMCell, NTMState
from ntm.heads import controller_input_output_shape
from ntm.layer import NeuralTuringMachine

__all__ = ["NTMCell", "NTMState", "NeuralTuringMachine", "controller_input_output_shape"]
