"""Write the pages of the shipped models and their pictures: `python docs/gallery/make.py`.

The pictures need `chromium` on the path.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WINDOW, WIDTH = (1400, 900), 700  # pixels, of what is seen and of the picture
FRAME = 87  # pixels of height that Chromium takes of a window for itself


def write_pages() -> Iterator[Path]:
    """Show every shipped model, and keep the pages."""
    names = sorted(path.name for path in (ROOT / "models").iterdir())
    with tempfile.TemporaryDirectory() as folder:
        models = ",".join(f"models/{name}" for name in names)
        stated = ["mode=show", f"checkpoint={models}", f"hydra.sweep.dir={folder}/pages"]
        subprocess.run([sys.executable, "run.py", "-m", *stated], cwd=ROOT, check=True)
        for number, name in enumerate(names):
            page = HERE / f"{name}.html"
            page.write_bytes(Path(folder, "pages", str(number), "machine.html").read_bytes())
            yield page


def write_picture(page: Path) -> None:
    """A picture of what a page shows first."""
    picture = page.with_suffix(".png")
    switches = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=3000"]
    size = f"--window-size={WINDOW[0]},{WINDOW[1] + FRAME}"
    command = ["chromium", *switches, size, f"--screenshot={picture}", page.as_uri()]
    subprocess.run(command, check=True)
    image = Image.open(picture).convert("RGB").crop((0, 0, *WINDOW))
    image = image.resize((WIDTH, WIDTH * WINDOW[1] // WINDOW[0]), Image.Resampling.LANCZOS)
    image.quantize(256).save(picture, optimize=True)


if __name__ == "__main__":
    for page in write_pages():
        write_picture(page)
