"""Does the page of a package answer as `predict` does? In headless Chromium, photo by photo.

    python -m benchmarks.browser build/shoes-v3 photos/*.jpg --picture build/page.png

needs a package made with `--browser`, Chromium, and Node 20 or newer. The page is served from this
machine, and the browser is told that no other can be reached. A line per photo: what the page says,
what `predict` says, and whether both name one class and shares that are 0.2 points apart at most,
since browsers decode some JPEGs a unit otherwise, or neither can read it; exit code 1 if some are
not so.
"""

import argparse
import functools
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import ClassVar

from slimline import predict
from slimline.errors import DataError
from slimline.repository import browser

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
SECONDS = 120
POINTS = 0.2 + 1e-9


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and says nothing of each."""

    extensions_map: ClassVar = {  # type: ignore[misc]  # typeshed has it of an instance
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
    }

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--picture", type=Path, help="where to write what the page looks like")
    given = parser.parse_args()
    answers = predict.predict(predict.load(given.package), given.photos)
    expected = [_told(each) for each in answers]
    found = asked(given.package / browser.FOLDER, given.photos, given.picture)
    are_same = [_are_same(*both) for both in zip(found, expected, strict=True)]
    for photo, page, own, is_same in zip(given.photos, found, expected, are_same, strict=True):
        print(f"| {photo.name} | {page} | {own} | {'same' if is_same else '**other**'} |")
    return int(not all(are_same))


def asked(page: Path, photos: list[Path], picture: Path | None) -> list[str]:
    """Return what the page says of each photo, in order."""
    handler = functools.partial(Quiet, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return _drive(f"http://127.0.0.1:{server.server_port}/", photos, picture)
        finally:
            server.shutdown()


def _drive(address: str, photos: list[Path], picture: Path | None) -> list[str]:
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if program is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is on the path: install one")
    with tempfile.TemporaryDirectory() as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", OFFLINE, "about:blank"]
        command = [program, "--remote-debugging-port=0", f"--user-data-dir={profile}", *options]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as running:
            try:
                assert running.stderr is not None
                told = (line.decode() for line in running.stderr)
                socket = next(line.split()[-1] for line in told if "DevTools listening" in line)
                arguments = [
                    socket,
                    address,
                    str(picture or ""),
                    *map(str, map(Path.resolve, photos)),
                ]
                script = [str(HERE / "browser.mjs"), *arguments]
                node = ["node", "--experimental-websocket", "--no-warnings"]
                done = subprocess.run(
                    [*node, *script], capture_output=True, text=True, check=False, timeout=SECONDS
                )
            finally:
                running.terminate()
    if done.returncode:
        sys.exit(done.stderr)
    answers: list[str] = json.loads(done.stdout)
    return answers


def _told(answers: list[predict.Prediction] | DataError) -> str:
    if isinstance(answers, DataError):
        return str(answers)
    return f"{answers[0].label}, {100 * answers[0].share:.1f} %"


def _are_same(page: str, own: str) -> bool:
    if not (page.endswith(" %") and own.endswith(" %")):
        return page.endswith(" %") == own.endswith(" %")  # Neither could read the photo.
    (label, share), (own_label, own_share) = (each.rpartition(", ")[::2] for each in (page, own))
    points = [float(each.removesuffix(" %")) for each in (share, own_share)]
    return label == own_label and abs(points[0] - points[1]) <= POINTS


if __name__ == "__main__":
    sys.exit(main())
