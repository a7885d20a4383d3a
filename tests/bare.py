"""A virtual environment with numpy, Pillow and onnxruntime, and not one package more.

Their files are links to those that are installed, so that it is made in a second, without a
network; and there is no pip in it.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import toy

_PARTS = ("numpy", "numpy.libs", "PIL", "pillow.libs", "onnxruntime")
"""A wheel has its shared libraries beside the package, or inside: then the second is not there."""


def make(folder: Path) -> Path:
    """Return the Python of a new environment."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    target = Path(subprocess.check_output(asked, text=True).strip())
    assert target.is_relative_to(folder)
    source = Path(np.__file__).parents[1]
    for name in _PARTS:
        if (source / name).exists():
            (target / name).symlink_to(source / name)
    return python


def run(python: Path, *arguments: str | Path, folder: Path = toy.ROOT) -> str:
    """Return what that Python prints, run in a folder; no variable lends it packages."""
    environment = {"PATH": str(python.parent), "PYTHONNOUSERSITE": "1"}
    done = subprocess.run(
        [python, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines_of(card: Path) -> str:
    """Return the code that a model card shows."""
    (code,) = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    return str(code)
