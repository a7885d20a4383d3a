"""Which raw sets nobody keeps: neither git nor DVC could give back what a run was made of."""

import subprocess
from pathlib import Path


def warn(folder: Path) -> None:
    """Tell of files of a raw set that are in neither git nor DVC; outside of a repository, nothing.

    A set is in DVC if a `.dvc` file for it stands beside it, or in it for parts of it.
    """
    if folder.with_name(f"{folder.name}.dvc").is_file() or any(folder.rglob("*.dvc")):
        return
    listed = subprocess.run(
        ["git", "ls-files", "--others", "-z", "--", str(folder)],
        capture_output=True,
        check=False,
    )
    count = listed.stdout.count(b"\0")
    if count and not listed.returncode:
        are = "file is" if count == 1 else "files are"
        print(
            f"{folder}: {count} {are} in neither git nor DVC, so that nobody could repeat this "
            f'run: say `dvc add "{folder}"`, and commit what it writes'
        )
