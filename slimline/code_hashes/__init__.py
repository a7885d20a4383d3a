"""What a stage's code is: the files that it imports, without what never changes a result."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slimline import files, params
from slimline.code_hashes.closure import Code

_BEFORE = {"__init__", "code", "validate_params"}
"""Scripts that run before the hashes are there."""

_ROOT = Path(__file__).parent.parent.parent


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
    names = [path.stem for path in sorted(stages.glob("*.py"))]
    return {
        name: _text(source, Path(stages.name, f"{name}.py"), chosen)
        for name in names
        if name not in _BEFORE
    }


def of_stage(stage: str, settings: Path) -> str:
    """Return what `texts` does, for one of the stages that run in this process."""
    return _text(Code(_ROOT), Path("stages", f"{stage}.py"), params.flat(params.read(settings)))


def _text(source: Code, script: Path, chosen: Mapping[str, Any]) -> str:
    hashes = source.digests(script, chosen)
    return "".join(f"{sha[:16]}  {path}\n" for path, sha in hashes.items())
