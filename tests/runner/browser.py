"""A headless Chromium for tests, driven through chromedriver's own protocol (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needs_chromium = pytest.mark.skipif(
    bool(MISSING),
    reason=f"no {' and no '.join(MISSING)}: apt-get install chromium chromium-driver",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key of an element in the protocol
KEYS = {"Left": "\ue012", "Right": "\ue014", "Up": "\ue013", "Down": "\ue015", "Enter": "\ue007"}
SELECT_ALL = "\ue009a\ue000"  # with the control key, which is then let go
SWITCHES = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


class Browser:
    """One window."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return ask(f"{self._address}/{path}", body)

    def open(self, page: Path | str) -> None:
        """Open a file, or an address."""
        self._ask("url", {"url": page if isinstance(page, str) else page.as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns, which has its arguments in `arguments`."""
        return self._ask("execute/sync", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        self._ask(f"element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Type a text in place of the one that is there."""
        self._ask(f"element/{self._find(selector)}/value", {"text": f"{SELECT_ALL}{text}"})

    def press(self, selector: str, key: str) -> None:
        """Press one key: a letter, or a name of `KEYS`."""
        self._ask(f"element/{self._find(selector)}/value", {"text": KEYS.get(key, key)})

    def text(self, selector: str) -> str:
        return str(self._ask(f"element/{self._find(selector)}/text"))

    def unnamed(self, selector: str) -> list[str]:
        """The elements that a screen reader has no name for."""
        found = self._ask("elements", {"using": "css selector", "value": selector})
        names = [self._ask(f"element/{each[ELEMENT]}/computedlabel") for each in found]
        html = "return arguments[0].outerHTML.slice(0, 80)"
        return [
            self.run(html, each)
            for each, name in zip(found, names, strict=True)
            if not name.strip()
        ]

    def complaints(self) -> list[str]:
        """What the page has written to the console since it was last asked."""
        return [entry["message"] for entry in self._ask("se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._ask("screenshot"))

    def _find(self, selector: str) -> str:
        found = self._ask("element", {"using": "css selector", "value": selector})
        return str(found[ELEMENT])


def ask(address: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    request.method = method or ("GET" if body is None else "POST")
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]


@contextmanager
def driver() -> Iterator[str]:
    """The address of a chromedriver, which ends with the block."""
    started = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert started.stdout is not None
    try:
        port = next(
            line.rpartition(" ")[2].strip(".\n")
            for line in started.stdout
            if "started successfully on port" in line
        )
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        started.wait()
        started.stdout.close()


@contextmanager
def window(address: str, width: int = 1400, height: int = 900) -> Iterator[Browser]:
    """A window of so many pixels; one that is narrower than 600 is that of a phone."""
    options: dict[str, Any] = {"args": [*SWITCHES, f"--window-size={width},{height}"]}
    if width < 600:
        metrics = {"width": width, "height": height, "pixelRatio": 2, "touch": True}
        options["mobileEmulation"] = {"deviceMetrics": metrics}
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
    }
    session = ask(f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
    try:
        yield Browser(f"{address}/session/{session}")
    finally:
        ask(f"{address}/session/{session}", method="DELETE")
