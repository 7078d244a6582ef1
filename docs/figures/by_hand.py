"""Two traces on a memory of five rows, computed by the functions of `ntm`, as Markdown tables.

`python -m docs.figures.by_hand` writes them into `docs/ntm.md`, between their markers.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ntm import addressing, memory
from ntm.addressing import SHORTEST_IN_MACHINE as SHORTEST

DOCUMENT = Path(__file__).parent.parent / "ntm.md"
ROWS, SHIFTS = 5, {"stay": (0.0, 1.0, 0.0), "on": (0.0, 0.1, 0.9)}
VECTORS = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))
EMPTY = 0.1  # what every number of the memory is at first
MARKED = re.compile(r"(<!-- by hand: (.+?) -->\n).*?(<!-- /by hand -->)", re.DOTALL)


def main() -> None:
    """Write the tables into the document."""
    DOCUMENT.write_text(with_traces(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")


def with_traces(text: str) -> str:
    """A document with what is between its markers made again."""
    tables = {
        "copy": lambda: copy_table(sharpness=5),
        "one step": one_step_table,
        "blurred": lambda: blurred_table((1, 5)),
    }
    return MARKED.sub(lambda found: found[1] + tables[found[2]]() + found[3], text)


def copy_steps(sharpness: float) -> Iterator[tuple[str, list[np.ndarray]]]:
    """A copy of three vectors: what comes in, and after each step w_write, memory, w_read, r.

    Instructions by hand: the gate is 0, so content plays no part. The write head moves on by a row
    at every step and overwrites it with the vector that comes in. The read head stays until the end
    flag has come, then moves on by a row a step.
    """
    rows = np.full((ROWS, 2), EMPTY)
    write, read = np.eye(ROWS)[0], np.eye(ROWS)[0]
    for step in range(2 * len(VECTORS) + 1):
        seen = VECTORS[step] if step < len(VECTORS) else None
        write = addressed(rows, write, move="on", sharpness=sharpness)
        read = addressed(
            rows, read, move="on" if step > len(VECTORS) else "stay", sharpness=sharpness
        )
        vector = _computed(memory.read, rows, read[None])
        if seen is not None:
            rows = _computed(memory.write, rows, write[None], np.ones((1, 2)), np.array([seen]))
        name = _numbers(seen) if seen else ("end flag" if step == len(VECTORS) else "nothing")
        yield name, [write, rows, read, vector[0]]


def addressed(
    rows: np.ndarray,
    before: np.ndarray,
    move: str,
    key: Sequence[float] = (0.0, 0.0),
    strength: float = 0.0,
    gate: float = 0.0,
    sharpness: float = 1.0,
) -> np.ndarray:
    """A weighting (N,) by equations 5 to 9, for one head."""
    told = [np.atleast_1d(value)[None] for value in (key, strength, gate, SHIFTS[move], sharpness)]
    return _computed(addressing.address, rows, before[None], *told, shortest=SHORTEST)[0]


def copy_table(sharpness: float) -> str:
    """Each step of the copy."""
    heads = ["step", "in", "writes to", *[f"row {row}" for row in range(ROWS)], "reads", "out"]
    lines = [
        [
            str(step), name, _focus(write), *[_numbers(row) for row in rows], _focus(read),
            _numbers(vector) if step > len(VECTORS) + 1 else "",
        ]
        for step, (name, (write, rows, read, vector)) in enumerate(copy_steps(sharpness), 1)
    ]  # fmt: skip
    return _table(heads, lines)


def blurred_table(sharpnesses: Sequence[float]) -> str:
    """Where the read head is at the last step, and what it reads, by sharpness."""
    lines = []
    for sharpness in sharpnesses:
        *_, (_, (_, _, read, vector)) = copy_steps(sharpness)
        lines.append([f"{sharpness:g}", *[f"{weight:.2f}" for weight in read], _numbers(vector, 2)])
    heads = ["sharpness", *[f"row {row}" for row in range(ROWS)], "out (should be 1 1)"]
    return _table(heads, lines)


def one_step_table() -> str:
    """The chain of equations 5 to 9 that finds (1 0) and moves on to what follows it."""
    *_, (_, (_, rows, _, _)) = copy_steps(sharpness=5)
    key, strength, gate, sharpness = np.array([1.0, 0.0]), 10.0, 0.9, 5.0
    before = np.eye(ROWS)[0]
    lengths = np.maximum(np.linalg.norm(rows, axis=1), SHORTEST)
    cosines = rows @ key / (lengths * max(float(np.linalg.norm(key)), SHORTEST))
    told = [np.array([[value]]) for value in (strength, gate, sharpness)]
    content = _computed(addressing.content_weighting, rows, key[None], told[0], shortest=SHORTEST)
    gated = _computed(addressing.interpolate, content, before[None], told[1])
    shifted = _computed(addressing.shift, gated, np.array([SHIFTS["on"]]))
    sharp = _computed(addressing.sharpen, shifted, told[2])
    vector = _computed(memory.read, rows, sharp)[0]
    lines = [
        ["", "the memory", *[_numbers(row) for row in rows]],
        ["", "the weighting of the step before", *_weights(before)],
        ["6", "cosine with the key 1 0", *_weights(cosines)],
        ["5", "softmax of 10 times that", *_weights(content[0])],
        ["7", "0.9 of it, 0.1 of the step before", *_weights(gated[0])],
        ["8", "0.1 stays, 0.9 moves on by a row", *_weights(shifted[0])],
        ["9", "to the power of 5, and again to a sum of 1", *_weights(sharp[0])],
        ["2", f"read: {_numbers(vector, 2)}", *[""] * ROWS],
    ]
    return _table(["eq", "", *[f"row {row}" for row in range(ROWS)]], lines)


def _computed(function, *values, **options) -> np.ndarray:  # type: ignore[no-untyped-def]
    """A function of a batch, for one sequence."""
    given = [np.asarray(value, np.float32)[None] for value in values]
    return np.asarray(function(*given, **options), np.float64)[0]


def _focus(weights: np.ndarray) -> str:
    """The row that has all of the weight, to two digits."""
    row = int(weights.argmax())
    return f"row {row}" if weights[row] > 0.995 else f"row {row} ({weights[row]:.2f})"


def _numbers(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    return " ".join(f"{round(float(value), digits) + 0.0:.{digits}g}" for value in values)


def _weights(weights: np.ndarray) -> list[str]:
    return [f"{weight:.2f}" for weight in weights]


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
