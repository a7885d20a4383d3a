"""What a stage's code is: the files that it imports, without what never changes a result."""

from pathlib import Path

from slimline import files, params
from slimline.code.closure import Code
from slimline.code.pipeline import Pipeline
from slimline.errors import ParamsError

_STAGE = "code"


def write(pipeline: Path, settings: Path, target: Path) -> None:
    """Write a file for each stage of a `dvc.yaml` that depends on it: a line per file of its code.

    Raises:
        ParamsError: a key chooses code, and stage `code` would not notice if it changed.
    """
    stages, content = Pipeline(pipeline, _STAGE), params.read(settings)
    source = Code(pipeline.parent)
    found = {
        name: source.digests(f"stages/{name}.py", stages.sees(name, content))
        for name in stages.reading(target)
    }
    chooses = source.choices(path for hashes in found.values() for path in hashes)
    missing = sorted(chooses - set(stages.params(_STAGE)))
    if missing:
        raise ParamsError(
            [f"{pipeline}: stages.{_STAGE}.params: must list {each}" for each in missing]
        )
    with files.replacing(target) as folder:
        for name, hashes in found.items():
            lines = (f"{sha256[:16]}  {path}\n" for path, sha256 in hashes.items())
            files.write_text(folder / f"{name}.txt", "".join(lines))
