"""The controller's output, split and activated in one place into what the heads understand."""

import itertools
import operator
from typing import Any, NamedTuple

from keras import ops

from ntm.addressing import softmax

# Where a parameter leaves this range its activation is flat to float32's eye, so the value
# carries nothing more; a bound keeps one outsized step of the optimizer from being final.
PARAMETER_BOUND = 20.0


class HeadParameters(NamedTuple):
    """What the heads are told at one step. H is all heads, the read heads first; W the write heads.

    Attributes:
        key: (B, H, M), in (-1, 1): what to look for.
        strength: (B, H, 1), at least 0: how strongly similarity counts.
        gate: (B, H, 1), in (0, 1): content (1) or the previous weighting (0).
        shift_weights: (B, H, S), sums to one: how far to move.
        sharpness: (B, H, 1), at least 1: how much to undo the blur of moving.
        erase: (B, W, M), in (0, 1): which columns to clear.
        add: (B, W, M): what to write.
    """

    key: Any
    strength: Any
    gate: Any
    shift_weights: Any
    sharpness: Any
    erase: Any
    add: Any


def head_parameter_sizes(m_depth, shift_range, read_heads, write_heads):
    """Numbers the controller puts out for each field of `HeadParameters`, in order."""
    heads = read_heads + write_heads
    return HeadParameters(
        key=heads * m_depth,
        strength=heads,
        gate=heads,
        shift_weights=heads * shift_range,
        sharpness=heads,
        erase=write_heads * m_depth,
        add=write_heads * m_depth,
    )


def controller_input_output_shape(
    input_dim,
    output_dim,
    m_depth,
    n_slots,  # noqa: ARG001
    shift_range,
    read_heads,
    write_heads,
):
    """The widths a controller must have.

    Args:
        input_dim: width of the NTM's input.
        output_dim: the NTM's `units`.
        m_depth: M, the width of a memory row.
        n_slots: N, the memory rows. No width depends on it; it is taken so that calls written for
            the predecessor of this layer still work.
        shift_range: S, the allowed shifts.
        read_heads: R.
        write_heads: W.

    Returns:
        `(controller_input_dim, controller_output_dim)`: the input and all read vectors; the
        output and every head's parameters.
    """
    parameters = sum(head_parameter_sizes(m_depth, shift_range, read_heads, write_heads))
    widths = input_dim + read_heads * m_depth, output_dim + parameters
    # Plain integers, also of NumPy's: `keras.layers.Dense` takes no others.
    return tuple(operator.index(width) for width in widths)


def parse(
    controller_output,
    output_dim,
    m_depth,
    shift_range,
    read_heads,
    write_heads,
    gate_offset,
    sharpness_offset,
    shift_offset,
):
    """The controller's output as the NTM's own output and activated parameters.

    Args:
        controller_output: (B, controller_output_dim), linear.
        output_dim: the NTM's `units`.
        m_depth: M, the width of a memory row.
        shift_range: S, the allowed shifts.
        read_heads: R.
        write_heads: W.
        gate_offset: subtracted from the parameters of the gate; a number, or a tensor (H, 1).
        sharpness_offset: added to the parameters of the sharpness.
        shift_offset: added to the parameters of the shift; a number, or a tensor (H, S).

    Returns:
        `(output, HeadParameters)`, output (B, output_dim) still linear.
    """
    sizes = head_parameter_sizes(m_depth, shift_range, read_heads, write_heads)
    ends = list(itertools.accumulate(sizes, initial=output_dim))
    # Split, not sliced: the gradient is then one concatenation.
    output, *fields = ops.split(controller_output, ends[:-1], axis=-1)
    counts = (*[read_heads + write_heads] * 5, write_heads, write_heads)
    fields = [
        ops.reshape(ops.clip(field, -PARAMETER_BOUND, PARAMETER_BOUND), (-1, count, size // count))
        for field, size, count in zip(fields, sizes, counts, strict=True)
    ]
    offsets = gate_offset, sharpness_offset, shift_offset
    return output, activate(HeadParameters(*fields), *offsets)


def activate(raw, gate_offset, sharpness_offset, shift_offset):
    """Activations of the heads' parameters, given as linear values of the same shapes.

    The offsets are those of `parse`.
    """
    return HeadParameters(
        # The similarity ignores a key's length, so a bounded key loses nothing and cannot blow up.
        key=ops.tanh(raw.key),
        # Softplus: positive, and close to linear where the strength is large.
        strength=ops.softplus(raw.strength),
        gate=ops.sigmoid(raw.gate - gate_offset),
        shift_weights=softmax(raw.shift_weights + shift_offset),
        # The paper asks for gamma >= 1.
        sharpness=1.0 + ops.softplus(raw.sharpness + sharpness_offset),
        erase=ops.sigmoid(raw.erase),
        # Linear, as in the paper: a tanh here kept some seeds from learning (docs/recipe.md).
        add=raw.add,
    )
