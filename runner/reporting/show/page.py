"""`machine.html` from a trained model: the template, the style, the program and the weights."""

from __future__ import annotations

import dataclasses
import json
from html import escape
from pathlib import Path
from typing import Any

import keras

from runner.reporting.show.export import exported
from tasks import AssociativeRecall, Copy, NGrams, PrioritySort, RepeatCopy, Task

PAGE = "machine.html"
HERE = Path(__file__).parent
# The tasks that `tasks.js` knows how to write, by their name there.
WRITTEN_IN_THE_PAGE: dict[type[Task], str] = {
    Copy: "copy",
    RepeatCopy: "repeat_copy",
    AssociativeRecall: "associative_recall",
    NGrams: "ngrams",
    PrioritySort: "priority_sort",
}
# In the order in which they are read.
PROGRAM = ("machine.js", "tasks.js", "draw.js", "inside.js", "page.js", "controls.js")


def page_of(model: keras.Model, task: Task, name: str, about: str) -> tuple[str, list[str]]:
    """The page, and what it cannot run.

    Args:
        model: a model of `runner.training.build.model_from` with `model=ntm`.
        task: its task. The page knows how the sequences of those in
            `WRITTEN_IN_THE_PAGE` are written.
        name: what the page is called in the browser.
        about: a line at its end, that says which machine it is.

    Returns:
        `(text, unknown)`: the file, and in words the layers of the machine that it does not know;
        if there are any, the page says so instead of running.
    """
    data, weights = exported(model.get_layer("ntm").cell, activation="sigmoid")
    filled = {
        "name": escape(name),
        "style": _text("page.css"),
        "data": _inside_a_script({"machine": data, "task": _fields(task), "about": about}),
        "weights": weights,
        "script": "\n".join(_text(part) for part in PROGRAM),
    }
    # Split once: what is filled in may hold braces too.
    first, *parts = _text("page.html").split("{{")
    pieces = (part.partition("}}") for part in parts)
    text = first + "".join(filled[key] + rest for key, _, rest in pieces)
    return text, data["unknown"]


def _fields(task: Task) -> dict[str, Any]:
    return dataclasses.asdict(task) | {"name": WRITTEN_IN_THE_PAGE.get(type(task))}


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _inside_a_script(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
