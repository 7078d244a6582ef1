"""Write the tables of README.md and docs/ from the CSV files beside this script.

    python docs/results/tables.py

A table stands in a document between `<!-- table: NAME -->` and `<!-- /table -->`, and whatever is
between them is replaced. NAME is one of

    NAME            the file NAME.csv, row for row
    results         one row for each recipe in results.csv that the README shows: what it reached
    recipes         one row for each: how soon and how long, on which machine, by which command
    speed [all]     speed.csv, the rows that the README shows or all of them
    seeds NAME      the seeds of the recipe NAME, from NAME.csv
    cases NAME ...  median, worst and shares of seeds for each case of these recipes

NAME.csv of a recipe has a row a seed. A comparison writes it, so that nobody copies a number:

    python -m runner.compare multirun/<sweep> --csv docs/results/NAME.csv
"""

from __future__ import annotations

import csv
import math
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

RESULTS = Path(__file__).resolve().parent
ROOT = RESULTS.parent.parent
MARKED = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- /table -->)", re.DOTALL)
Row = dict[str, str]

SOLVED_AT, LOST_AGAIN, SUFFIX = "solved_at_sequences", "lost_again", "_per_sequence"
HEADINGS = {
    SOLVED_AT: "solved at, sequences",
    "sequences": "sequences in all",
    "restarts": "new beginnings",
    "rollbacks": "gone back",
    LOST_AGAIN: "evaluations that lost it again",
    "seconds": "training, s",
}
SCORES = {
    "bit_errors": "wrong bits",
    "content_errors": "wrong content bits",
    "marker_errors": "wrong marker bits",
    "loss_bits": "loss, bits",
    "optimal_bits": "loss of the optimal estimator, bits",
    "excess_bits": "bits above the optimum",
}


def main() -> None:
    """Write all tables and print the documents that changed."""
    for path in documents():
        text = path.read_text(encoding="utf-8")
        written = with_tables(text)
        if written != text:
            path.write_text(written, encoding="utf-8")
            print(path.relative_to(ROOT))


def documents() -> list[Path]:
    """The documents that may have tables; the notebooks in docs/lab are left as they are."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_tables(text: str) -> str:
    """A document with its tables as the CSV files have them. Raises KeyError for unknown ones."""
    return MARKED.sub(lambda found: found[1] + markdown(rows_of(found[2])) + found[3], text)


def rows_of(name: str) -> list[list[str]]:
    """The rows of a table, the heading first, by its name in a document."""
    kind, *names = name.split()
    if kind in COMPUTED:
        return COMPUTED[kind](names)
    rows = read(name)
    return [list(rows[0]), *(list(row.values()) for row in rows)]


def read(name: str) -> list[Row]:
    """The rows of a CSV file by column."""
    with open(RESULTS / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def recipe(name: str) -> Row:
    """A row of results.csv."""
    return {row["name"]: row for row in read("results")}[name]


def known(seeds: Sequence[Row], column: str) -> list[float]:
    """The numbers in a column, without those of runs that failed."""
    return [float(seed[column]) for seed in seeds if seed[column]]


def results(_: Sequence[str]) -> list[list[str]]:
    """What the recipes reach, one row each."""
    head = (
        "task, controller, parameters, seeds, solved, median sequences, beyond the training range"
    )
    rows = [[*head.split(", "), "the paper"]]
    for row in (row for row in read("results") if row["readme"]):
        found = read(row["name"])
        solved = f"{sum(map(math.isfinite, solved_at(found)))} of {len(found)}"
        median = shown(statistics.median(solved_at(found)))
        given = [
            row["task"],
            row["controller"],
            shown(max(known(found, "parameters"))),
            span(found),
            solved,
            median,
        ]
        rows.append([*given, beyond(row, found), row["paper"]])
    return rows


def span(seeds: Sequence[Row]) -> str:
    """The first and the last seed. Raises ValueError if one between them is left out."""
    numbers = [int(seed["seed"]) for seed in seeds]
    if numbers != [*range(numbers[0], numbers[-1] + 1)]:
        raise ValueError(f"the seeds {numbers} are not one after another")
    return f"{numbers[0]} to {numbers[-1]}"


def beyond(row: Row, seeds: Sequence[Row]) -> str:
    """The share of seeds that meet the recipe's condition beyond the training range."""
    if not row["beyond"]:
        return ""
    bound = float(row["beyond_bound"])
    values = known(seeds, row["beyond_column"])
    met = sum(value < bound if bound else value == 0 for value in values)
    return f"{row['beyond']}: {met} of {len(seeds)}"


def recipes(_: Sequence[str]) -> list[list[str]]:
    """How soon the recipes solve their tasks and how long they train."""
    head = (
        "task, controller, seeds, solved at the end, not lost again, median sequences, worst, "
        "median training, s"
    )
    rows = [[*head.split(", ", 7), "machine", "command"]]
    for row in read("results"):
        found = read(row["name"])
        at_the_end = f"{sum(seed['status'] == 'solved' for seed in found)} of {len(found)}"
        soon = solved_at(found)
        seconds = statistics.median(known(found, "seconds"))
        numbers = [statistics.median(soon), max(soon), seconds]
        given = [row["task"], row["controller"], span(found), at_the_end, held(found)]
        given += map(shown, numbers)
        rows.append([*given, row["machine"], f"`{row['command']}`"])
    return rows


def held(seeds: Sequence[Row]) -> str:
    """How many were solved and not lost again, where the file says so."""
    if LOST_AGAIN not in seeds[0]:
        return ""
    return f"{sum(seed[LOST_AGAIN] == '0' for seed in seeds)} of {len(seeds)}"


def solved_at(seeds: Sequence[Row]) -> list[float]:
    """The sequences after which each seed was solved, infinite for one that never was."""
    return [float(seed[SOLVED_AT] or "inf") for seed in seeds]


def speed(names: Sequence[str]) -> list[list[str]]:
    """The measurements of speed, `all` of them or those that the README shows."""
    columns = ["measured", "value", "command"]
    rows = [row for row in read("speed") if row["readme"] or names == ["all"]]
    return [columns, *([row["measured"], row["value"], f"`{row['command']}`"] for row in rows)]


def seeds(names: Sequence[str]) -> list[list[str]]:
    """A row for each seed of a recipe."""
    rows = read(names[0])
    columns = [key for key in ("seed", *HEADINGS) if key in rows[0]]
    scores = scored(names[0], rows)
    heads = [f"{case}, {SCORES[score]}" for case, score in scores]
    head = [HEADINGS.get(column, column) for column in columns]
    keys = [*columns, *(f"{case} {score}{SUFFIX}" for case, score in scores)]
    never = {SOLVED_AT: "never"}
    return [[*head, *heads], *([row[key] or never.get(key, "") for key in keys] for row in rows)]


def cases(names: Sequence[str]) -> list[list[str]]:
    """A row for each recipe, case and score: its median, its worst and the shares of seeds."""
    bounds = {recipe(name)["bound"] for name in names}
    (bound,) = bounds  # One table has one bound.
    rows = [["controller", "case", "score", "median", "worst", "none wrong", f"below {bound}"]]
    for name in names:
        found = read(name)
        for case, score in scored(name, found):
            values = known(found, f"{case} {score}{SUFFIX}")
            none = f"{values.count(0)} of {len(found)}" if score.endswith("errors") else ""
            below = f"{sum(value < float(bound) for value in values)} of {len(found)}"
            numbers = [shown(statistics.median(values)), shown(max(values)), none, below]
            rows.append([recipe(name)["controller"], case, SCORES[score], *numbers])
    return rows


def scored(name: str, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The cases and scores of a recipe's file that its tables show, in the file's order."""
    wanted = recipe(name)["scores"].split()
    found = (key.removesuffix(SUFFIX).rpartition(" ") for key in rows[0] if " " in key)
    return [(case, score) for case, _, score in found if score in wanted]


COMPUTED: dict[str, Callable[[Sequence[str]], list[list[str]]]] = {
    "results": results,
    "recipes": recipes,
    "speed": speed,
    "seeds": seeds,
    "cases": cases,
}


def shown(value: float | str) -> str:
    """A number for a cell: four digits, thousands apart; what is no number as it is."""
    try:
        number = float(value)
    except ValueError:
        return str(value)
    if math.isinf(number):
        return "never"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}".replace("e-0", "e-")


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows as a Markdown table, the heading first."""
    names = [column == "seed" for column in rows[0]]  # A seed is a name, no amount.
    head, *body = [
        [
            (cell if name else shown(cell)).replace("|", "\\|")
            for name, cell in zip(names, row, strict=True)
        ]
        for row in rows
    ]
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()
