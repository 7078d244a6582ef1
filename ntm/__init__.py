"""The Neural Turing Machine as a Keras recurrent layer."""

from ntm.cell import NTMCell, NTMState
from ntm.heads import controller_input_output_shape
from ntm.layer import NeuralTuringMachine

__all__ = ["NTMCell", "NTMState", "NeuralTuringMachine", "controller_input_output_shape"]
