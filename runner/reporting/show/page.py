"""`machine.html` from a trained model: the template, the style, the program and the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import keras

from runner.reporting.show.export import exported

PAGE = "machine.html"
HERE = Path(__file__).parent
# In the order in which they are read.
PROGRAM = ("machine.js", "tasks.js", "draw.js", "inside.js", "page.js", "controls.js")


def page(
    model: keras.Model, task: Mapping[str, Any], name: str, about: str
) -> tuple[str, list[str]]:
    """The page, and what it cannot run.

    Args:
        model: a model of `runner.training.build.model_from` with `model=ntm`.
        task: the fields of its task, `name` among them.
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
        "data": _inside_a_script({"machine": data, "task": dict(task), "about": about}),
        "weights": weights,
        "script": "\n".join(_text(part) for part in PROGRAM),
    }
    # Split once: what is filled in may hold braces too.
    first, *parts = _text("page.html").split("{{")
    pieces = (part.partition("}}") for part in parts)
    text = first + "".join(filled[key] + rest for key, _, rest in pieces)
    return text, data["unknown"]


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _inside_a_script(value: Any) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(value).replace("<", "\\u003c")
