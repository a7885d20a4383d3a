"""What a stage's code is: the files that it imports, without what never changes a result."""

from pathlib import Path

from slimline import files, params
from slimline.code_hashes.closure import Code

_BEFORE = {"__init__", "code", "validate_params"}
"""Scripts that run before the hashes are there."""


def write(stages: Path, settings: Path, target: Path) -> None:
    """Write `target/<stage>.txt` for each script in a folder, as `texts` returns them."""
    with files.replacing(target) as folder:
        for name, text in texts(stages, settings).items():
            files.write_text(folder / f"{name}.txt", text)


def texts(stages: Path, settings: Path) -> dict[str, str]:
    """Return for each script in a folder a line per file that it runs: hash and path.

    `settings` is the params.yaml that says which entries of registries are chosen.
    """
    source, chosen = Code(stages.parent), params.flat(params.read(settings))
    found = {}
    for script in sorted(stages.glob("*.py")):
        if script.stem not in _BEFORE:
            hashes = source.digests(script.relative_to(stages.parent), chosen)
            found[script.stem] = "".join(f"{sha[:16]}  {path}\n" for path, sha in hashes.items())
    return found
