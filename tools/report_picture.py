"""Take the picture of metrics/report.html that README shows, docs/report.png, by Chromium.

Run it after results have been committed that README shall show: `python tools/report_picture.py`.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Pixels: as wide as the table of variants, down to the end of the first drawings.
WIDTH, HEIGHT = 1180, 1040
COLOURS = 200


def main() -> int:
    """Return 2 where there is no browser."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"none of {', '.join(BROWSERS)} is on the path: install one", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "report.png"
        report = (ROOT / "metrics" / "report.html").as_uri()
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
        options += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}"]
        subprocess.run([browser, *options, report], check=True, capture_output=True, timeout=60)
        picture = Image.open(shot).convert("P", palette=Image.Palette.ADAPTIVE, colors=COLOURS)
        picture.save(ROOT / "docs" / "report.png", optimize=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
