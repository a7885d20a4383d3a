"""Ask pip whether every package that a lock file pins can be had for each Python and system.

`python tools/check_wheels.py` asks for all lock files of the ordinary index; for one Python and one
system with --python 3.14 and --system macos-arm64. Pip resolves as it would there, downloading
metadata alone, and each wheel that it names must be one whose hash is in the lock. Exits 1 where it
is not.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
LOCKS = (
    "requirements.lock",
    "requirements-cpu.lock",
    "requirements-search.lock",
    "requirements-development.lock",
)
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
# What wheels a pip that runs on each system accepts, and the markers that it sets. The tags of
# Linux are versions of glibc, and the older names of three of them.
_GLIBC = [f"manylinux_2_{minor}" for minor in range(28, 4, -1)]
_LINUX = [*_GLIBC, "manylinux2014", "manylinux2010", "manylinux1", "linux"]
SYSTEMS = {
    "linux-x86_64": ("x86_64", "linux", _LINUX),
    "linux-aarch64": ("aarch64", "linux", _LINUX),
    "macos-arm64": ("arm64", "darwin", ["macosx_14_0"]),
}
# Pure Python, published as source alone: any Python builds it.
SOURCE_ONLY = {"antlr4-python3-runtime"}
# The first pip that dry-runs on metadata alone is far older; this one is what was tried.
PIP = "pip==26.3"


@dataclass(frozen=True)
class Pin:
    """A package of a lock file, with the SHA-256 of each of its files."""

    requirement: Requirement
    hashes: frozenset[str]


def main() -> int:
    """Return 1 if a package cannot be had somewhere."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", choices=PYTHONS, help="one Python instead of all")
    parser.add_argument("--system", choices=SYSTEMS, help="one system instead of all")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        pip = fresh_pip(Path(folder))
        # What several locks pin, in the same version, is asked for once.
        pins = {
            str(pin.requirement): pin
            for lock in LOCKS
            for pin in read_lock((ROOT / lock).read_text(encoding="utf-8"))
        }
        for python in [options.python] if options.python else PYTHONS:
            for system in [options.system] if options.system else SYSTEMS:
                there = wanted([*pins.values()], python, system)
                problem = ask(pip, there, python, system)
                failed |= problem is not None
                told = problem or f"all {len(there)} packages can be had"
                print(f"Python {python}, {system}: {told}", flush=True)
    return int(failed)


def fresh_pip(folder: Path) -> list[str]:
    """Return the command of a pip that is new enough, in a folder of its own."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = [str(folder / "venv" / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", PIP], check=True)
    return pip


def read_lock(text: str) -> list[Pin]:
    """Return the pins of a lock file as uv writes it: a hash per continuation line."""
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            stated, *hashes = entry.split("--hash=sha256:")
            pins.append(Pin(Requirement(stated.strip()), frozenset(map(str.strip, hashes))))
    return pins


def wanted(pins: list[Pin], python: str, system: str) -> list[Pin]:
    """Return the pins whose markers hold there: pip itself goes by the Python that runs it."""
    machine, platform, _ = SYSTEMS[system]
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": {"linux": "Linux", "darwin": "Darwin"}[platform],
        "platform_machine": machine,
    }
    return [
        pin
        for pin in pins
        if pin.requirement.marker is None or pin.requirement.marker.evaluate(there)
    ]


def platforms(system: str) -> list[str]:
    """Return pip's options that name what wheels run on a system."""
    machine, _, tags = SYSTEMS[system]
    return [option for tag in tags for option in ("--platform", f"{tag}_{machine}")]


def ask(pip: list[str], pins: list[Pin], python: str, system: str) -> str | None:
    """Return which of some pins cannot be had for a Python on a system, or None."""
    there = [pin for pin in pins if pin.requirement.name not in SOURCE_ONLY]
    names = [f"{pin.requirement.name}{pin.requirement.specifier}" for pin in there]
    command = [*pip, "install", "--dry-run", "--quiet", "--report", "-", "--no-deps"]
    command += ["--target", "unused", "--only-binary", ":all:", "--python-version", python]
    done = subprocess.run(
        [*command, *platforms(system), *names], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        return errors[-1] if errors else done.stderr
    hashes = {pin.requirement.name.lower(): pin.hashes for pin in there}
    for each in json.loads(done.stdout)["install"]:
        name = each["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
        file = each["download_info"]
        if file["archive_info"]["hashes"]["sha256"] not in hashes[name]:
            return f"{file['url'].rsplit('/')[-1]} is not in the lock"
    return None


if __name__ == "__main__":
    sys.exit(main())
