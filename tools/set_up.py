"""Set up .venv with what the lock files pin, or leave it as it is where it has that already.

`make` calls it before all else: `set_up.py run` for what a run needs, `set_up.py development` for
lint, types and tests as well; `make clean` calls `set_up.py remove`. It needs nothing but the
standard library. A `.venv` that is a link is used where it has what is pinned; neither a link's
target nor a folder that it did not make is ever changed.
"""

import argparse
import fcntl
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

VENV = Path(".venv")
# Inside .venv: who made it, and what has been installed, each written last.
MADE = "made-by-make"
INSTALLED = "installed"
DEVELOPMENT = "installed-development"

# Torch for the CPU alone has other wheels, on an index of its own.
LOCKS = {
    "default": ("requirements.lock",),
    "cpu": ("requirements-torch-cpu.lock", "requirements-cpu.lock"),
}
DEVELOPMENT_LOCK = "requirements-development.lock"


class SetUpError(Exception):
    """What stands in the way, and what to do about it, in one sentence."""


def main(arguments: list[str]) -> int:
    """Return the exit code: 2 with a sentence on stderr where .venv cannot be set up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("purpose", choices=["run", "development", "remove"])
    parser.add_argument("--torch", default="", help="cpu, default, or empty: as it is installed")
    parser.add_argument("--torch-index", default="", help="where the wheels for the CPU are")
    parser.add_argument("--this-python", action="store_true", help="not the one that .venv has")
    options = parser.parse_args(arguments)
    try:
        # Of two at once, the second waits, and then finds all of it done.
        # Opened for writing where that may be, as NFS wants it, and left as it is.
        path = Path("requirements.lock")
        with path.open("r+b" if os.access(path, os.W_OK) else "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if options.purpose == "remove":
                remove(VENV)
                return 0
            torch = torch_of(options.torch, VENV)
            python = f"{sys.version_info[0]}.{sys.version_info[1]}" if options.this_python else ""
            set_up(VENV, torch, options.torch_index, python)
            if options.purpose == "development":
                set_up_development(VENV)
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def torch_of(asked: str, venv: Path) -> str:
    """Return which torch is wanted, a key of LOCKS: as asked, else the one that is installed."""
    if asked not in {*LOCKS, ""}:
        raise SetUpError(f"TORCH={asked}: allowed are {' and '.join(sorted(LOCKS))}")
    if asked == "cpu" and sys.platform == "darwin":
        print("TORCH=cpu changes nothing on macOS: the ordinary wheels hold no CUDA there")
        return "default"
    installed = read(venv / INSTALLED).split()
    return asked or (installed[0] if installed and installed[0] in LOCKS else "default")


def set_up(venv: Path, torch: str, torch_index: str = "", python: str = "") -> None:
    """Make .venv hold what a run needs.

    Args:
        venv: Where it is.
        torch: A key of LOCKS.
        torch_index: The index that has torch for the CPU.
        python: The version that it must be of, as 3.12; empty: any.

    Raises:
        SetUpError: If it is not ours to change, or the packages cannot be had.
    """
    wanted = f"{torch} {digest(LOCKS[torch])}"
    # A link to a Python that has been removed since does not exist.
    runs = (venv / "bin" / "python").exists()
    is_complete = runs and read(venv / INSTALLED) == wanted
    if is_complete and python in {"", python_of(venv)}:
        return
    if is_complete and venv.is_symlink():
        raise SetUpError(
            f"{venv} is a link to {venv.readlink()}, of Python {python_of(venv) or '?'}, not "
            f"{python}: leave PYTHON out, or remove the link, and make sets up a folder of its own"
        )
    refuse_what_is_not_ours(venv, LOCKS[torch])
    if torch == "cpu":
        refuse_unreachable(torch_index)
    print(f"[1/3] creating {venv}, of Python {sys.version.split()[0]}", flush=True)
    create(venv)
    print(f"[2/3] installing the packages of {' and '.join(LOCKS[torch])}", flush=True)
    if torch == "cpu" and "--hash" not in Path(LOCKS["cpu"][0]).read_text(encoding="utf-8"):
        print(
            f"{LOCKS['cpu'][0]} pins versions without hashes: for torch and torchvision pip takes "
            f"what {torch_index} gives (docs/install.md)",
            flush=True,
        )
    for lock in LOCKS[torch]:
        # Only the lock of torch's own index names wheels that the ordinary one lacks.
        own_index = ["--index-url", torch_index] if lock == "requirements-torch-cpu.lock" else []
        install(venv, lock, own_index)
    check(venv)
    (venv / INSTALLED).write_text(wanted, encoding="utf-8")


def set_up_development(venv: Path) -> None:
    """Add lint, types and tests to a .venv that holds what a run needs.

    Raises:
        SetUpError: If it is not ours to change, or the packages cannot be had.
    """
    wanted = digest([DEVELOPMENT_LOCK])
    if read(venv / DEVELOPMENT) == wanted:
        return
    refuse_what_is_not_ours(venv, [DEVELOPMENT_LOCK])
    print(f"[2/3] installing the packages of {DEVELOPMENT_LOCK}", flush=True)
    install(venv, DEVELOPMENT_LOCK)
    check(venv)
    (venv / DEVELOPMENT).write_text(wanted, encoding="utf-8")


def remove(venv: Path) -> None:
    """Remove a .venv that this script made, or the link that stands in its place."""
    if venv.is_symlink():
        venv.unlink()
    elif is_ours(venv):
        shutil.rmtree(venv)
    elif venv.exists():
        print(f"{venv} stays: it was not made by make")


def is_ours(venv: Path) -> bool:
    """Whether this script made a folder; INSTALLED alone is of the first versions of `make`."""
    return (venv / MADE).exists() or (venv / INSTALLED).exists()


def refuse_what_is_not_ours(venv: Path, locks: tuple[str, ...] | list[str]) -> None:
    """Raise SetUpError where .venv is a link, or a folder that this script did not make."""
    pinned = " and ".join(locks)
    if venv.is_symlink():
        raise SetUpError(
            f"{venv} is a link to {venv.readlink()}, which lacks what {pinned} pins and which "
            "make leaves alone: remove the link, and make sets up a folder of its own"
        )
    empty = venv.is_dir() and not any(venv.iterdir())
    if venv.exists() and not empty and not is_ours(venv):
        raise SetUpError(
            f"{venv} was not made by make, which leaves it alone, and does not say that it has "
            f"what {pinned} pins: rename or remove it, and make sets up its own"
        )


def refuse_unreachable(index: str) -> None:
    """Raise SetUpError where torch's own index does not answer."""
    try:
        urllib.request.urlopen(f"{index.rstrip('/')}/torch/", timeout=20).close()  # noqa: S310
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise SetUpError(
            f"TORCH=cpu takes torch from {index}, which cannot be reached ({error}): say "
            "TORCH_INDEX=... for a mirror of it, or leave TORCH out for the larger wheels of the "
            "ordinary index"
        ) from error


def create(venv: Path) -> None:
    """Make an empty virtual environment, of the Python that runs this."""
    venv.mkdir(exist_ok=True)
    # From here on it is known as ours, also where this is interrupted.
    (venv / MADE).touch()
    for entry in venv.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MADE:
            entry.unlink()
    command = [sys.executable, "-m", "venv", str(venv)]
    if subprocess.run(command, check=False).returncode != 0:
        raise SetUpError(f"{' '.join(command)} failed; why, it says above")


def install(venv: Path, lock: str, index: list[str] | None = None) -> None:
    """Install what a lock file pins, and nothing else."""
    pip(venv, "install", "--no-deps", *(index or []), "--requirement", lock)


def check(venv: Path) -> None:
    """Let pip say whether the packages fit each other."""
    pip(venv, "check")


def pip(venv: Path, *arguments: str) -> None:
    """Run the pip of a virtual environment; what it prints goes to the terminal."""
    command = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*command, *arguments], check=False)
    if done.returncode != 0:
        raise SetUpError(f"pip {' '.join(arguments)} failed; why, it says above")


def digest(locks: tuple[str, ...] | list[str]) -> str:
    """Return one hash of several lock files, so that a new file date alone installs nothing."""
    joined = b"\0".join(Path(name).read_bytes() for name in locks)
    return hashlib.sha256(joined).hexdigest()


def python_of(venv: Path) -> str:
    """Return the version of a virtual environment's Python, as 3.12; empty if it has none."""
    for line in read(venv / "pyvenv.cfg").splitlines():
        key, _, value = line.partition(" = ")
        if key == "version":
            return ".".join(value.split(".")[:2])
    return ""


def read(path: Path) -> str:
    """Return the text of a file, empty where there is none."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
