"""Hash every output again, here and in DVC's cache, and name what is not as it was recorded.

DVC trusts the files that it has protected: a bit that flipped in its cache, or in a model that is
linked to it, goes unnoticed and is handed out to whoever pulls. This command reads every byte of
what dvc.lock and *.dvc files track, and of the cache's copies; of each model folder, whether its
weights and .onnx are those that its model.json describes. Exit 1 if anything differs.

What is not here (a clone without `dvc pull`) is listed, and is no error. A damaged object of the
cache is mended by removing it, and then `dvc pull` or `dvc repro`.
"""

import subprocess
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--all",
        action="store_true",
        help="also hash the objects that the cache keeps for other commits",
    )


def run(arguments: Namespace) -> int:
    """Print a line per file that differs; return 1 if there is one."""
    from slimline.artifacts import description
    from slimline.repository import declared_stages, dvc_files

    root = Path()
    lock = declared_stages.read_lock(root)
    outs = [*dvc_files.read_added(root), *lock.outs]
    folders = {each.path for each in outs}
    deps = [each for each in lock.deps if dvc_files.within(each.path, folders)]
    found = dvc_files.Verification(root, _cache() / "files" / "md5")
    for record in [*outs, *deps]:
        found.check(record)
    num_differing = 0
    if arguments.all:
        found.check_all_objects()
    for folder in sorted(path.parent for path in root.glob(f"models/**/{description.DESCRIPTION}")):
        for told in description.differing(folder):
            print(told)
            num_differing += 1
    for name, told in found.differing.items():
        print(f"{name}: {told}")
    for name in found.absent:
        print(f"{name}: is not here, and not verified", file=sys.stderr)
    print(
        f"{found.num_files} files and {found.num_objects} objects of the cache hashed, "
        f"{num_differing + len(found.differing)} differ",
        file=sys.stderr,
    )
    return 1 if num_differing or found.differing else 0


def _cache() -> Path:
    """Return the folder of DVC's cache, wherever its configuration puts it."""
    from slimline.errors import ArtifactError

    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArtifactError("this is no DVC project, or its configuration is wrong")
    return Path(done.stdout.strip())
