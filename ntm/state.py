"""What the machine carries from step to step."""

from typing import Any, NamedTuple


class NTMState(NamedTuple):
    """What the machine carries from step to step.

    In the recurrent layer's list of states every field is flattened to (B, size), the order is
    the one below, and the states of controller and readout follow one by one; `NTMCell.unpack`
    and `NTMCell.pack` convert.

    Attributes:
        output: (B, units), the output of the last step (Keras repeats it on masked steps).
        memory: (B, M, N), as it lies inside of the machine (`ntm.rows`).
        weightings: (B, R + W, N), of all heads, the read heads first.
        reads: (B, R, M), the vectors read in the last step.
        controller: list of the controller's own states.
        readout: list of the readout's own states, empty where there is none.
    """

    output: Any
    memory: Any
    weightings: Any
    reads: Any
    controller: list[Any]
    readout: list[Any]


def check_shapes(cell, names, shapes, batch=None):
    """Raises ValueError unless a list of states has the sizes of a cell's, see `NTMCell`.

    Args:
        cell: the `NTMCell`.
        names: of its states, in order.
        shapes: of the list's states, sizes not known yet None.
        batch: number of sequences, or None.
    """
    if len(shapes) != len(names):
        raise ValueError(
            f"{cell.name!r} has {len(names)} states ({', '.join(names)}), but was given "
            f"{len(shapes)}: give it as many as its get_initial_state returns"
        )
    for index, (shape, size) in enumerate(zip(shapes, cell.state_size, strict=True)):
        wanted = (batch, size)
        if len(shape) != 2 or any(
            None not in sizes and len(set(sizes)) > 1 for sizes in zip(shape, wanted, strict=True)
        ):
            raise ValueError(
                f"state {index} of {cell.name!r} ({names[index]}) has the shape "
                f"{tuple(shape)}, but must be {wanted}: units={cell.units}, "
                f"n_width={cell.n_width}, m_depth={cell.m_depth}, "
                f"read_heads={cell.read_heads} and write_heads={cell.write_heads} must be "
                "those of the layer that the state is of, and the batch the same"
            )
