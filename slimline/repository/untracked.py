"""Which raw sets nobody keeps: neither git nor DVC could give back what a run was made of."""

import os
import subprocess
from pathlib import Path


def warn(folder: Path) -> None:
    """Tell of files of a raw set that are in neither git nor DVC; outside of a repository, nothing.

    A set is in DVC if a `.dvc` file for it stands beside it, or in it for parts of it.
    """
    if not folder.is_dir() or folder.with_name(f"{folder.name}.dvc").is_file():
        return
    listed = subprocess.run(
        ["git", "ls-files", "--others", "-z", "--", "."],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    in_dvc = {path.relative_to(folder).with_suffix("") for path in folder.rglob("*.dvc")}
    names = [Path(os.fsdecode(each)) for each in listed.stdout.split(b"\0") if each]
    count = sum(not (in_dvc and _is_of_dvc(name, in_dvc)) for name in names)
    if count and not listed.returncode:
        are = "file is" if count == 1 else "files are"
        print(
            f"{folder}: {count} {are} in neither git nor DVC, so that nobody could repeat this "
            f'run: say `dvc add "{folder}"`, and commit what it writes'
        )


def _is_of_dvc(name: Path, in_dvc: set[Path]) -> bool:
    """Whether a file is what DVC tracks, or what `dvc add` writes beside it."""
    return name.suffix == ".dvc" or name.name == ".gitignore" or not in_dvc.isdisjoint(_above(name))


def _above(name: Path) -> list[Path]:
    return [name, *name.parents]
