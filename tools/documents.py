"""Write the generated parts of documents, between their markers, from what they are about.

README.md has the results of metrics/, docs/architecture.md a line for each file of code, from the
first line of its docstring or comment. `python tools/documents.py` writes, `python
tools/documents.py --check` exits 1 if a part is stale. The table of results may be that of
README.md and metrics/ as they are, or as they are committed: a run on another machine or with
another seed makes nothing stale.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Run as a script, Python looks for modules beside it, not in the repository.
sys.path.insert(0, str(ROOT))

from slimline import params, variants  # noqa: E402
from slimline.measure import variant_figures  # noqa: E402
from slimline.report import images_seen  # noqa: E402
from slimline.report import number_formatting as fmt  # noqa: E402

_LISTED = ("stages", "slimline", "tools", "benchmarks")
_CODE = {".py", ".sh", ".mjs", ".cjs", ".html", ".jinja2"}
_COMMENT = re.compile(r"(?:#!.*\n|<!doctype html>\n)?(?:\{#|<!--|//|#) *(.+?)(?: *#\}| *-->)?\n")
"""The first line of a comment at the beginning of a file, whatever its language."""


def main() -> None:
    """Renew all parts, or check that they are fresh."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    arguments = parser.parse_args()
    if arguments.check:
        check()
    else:
        renew(ROOT / "README.md", "results", results(ROOT))
        renew(ROOT / "docs" / "architecture.md", "files", files())


def check() -> None:
    """Exit 1 and name what is stale, if anything is."""
    stale = []
    with tempfile.TemporaryDirectory() as folder:
        committed = Path(folder)
        extract_head(
            committed, "README.md", "metrics", *map(str, (variants.PATH, params.PARAMS_PATH))
        )
        if all(
            is_stale(root / "README.md", "results", results(root)) for root in (ROOT, committed)
        ):
            stale.append("README.md")
    if is_stale(ROOT / "docs" / "architecture.md", "files", files()):
        stale.append("docs/architecture.md")
    if stale:
        sys.exit(f"{' and '.join(stale)}: stale, run `python tools/documents.py`")


def extract_head(folder: Path, *names: str) -> None:
    """Write files and folders of the last commit into a folder."""
    archive = subprocess.run(
        ["git", "archive", "--format=zip", "HEAD", *names],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        packed.extractall(folder)


def is_stale(path: Path, part: str, text: str) -> bool:
    """Whether a document has another text between the markers of a part."""
    old = path.read_text(encoding="utf-8")
    return old != with_part(old, part, text)


def renew(path: Path, part: str, text: str) -> None:
    """Write a part of a document, if it is stale."""
    if is_stale(path, part, text):
        path.write_text(with_part(path.read_text(encoding="utf-8"), part, text), encoding="utf-8")


def with_part(document: str, part: str, text: str) -> str:
    """Return a document with everything between the markers of a part replaced."""
    begin = f"<!-- {part}: written by `python tools/documents.py` -->\n"
    before, rest = document.split(begin)
    end = f"<!-- /{part} -->\n"
    _, after = rest.split(end)
    return f"{before}{begin}{text}{end}{after}"


def results(root: Path) -> str:
    """Return the table of results that the metrics of a repository give, Markdown."""
    declared = variants.read(root / variants.PATH)
    rows = variant_figures.load(root / "metrics", [declared[name] for name in declared])
    seen = images_seen.read(root / "metrics" / "history")
    lines = [
        "| variant | images seen in training | top-1 on test | file | MACs | executed in int8 "
        "| p50, one thread | speedup |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| `{each.name}` | {fmt.count(seen[each.name]) if seen else 'not counted'} "
        f"| {fmt.percent(each.top1)} | {fmt.kib(each.size_kib)} "
        f"| {fmt.millions(each.macs_m)} | {fmt.percent(each.int8_macs, 1)} "
        f"| {fmt.milliseconds(each.p50_ms)} | {fmt.times(each.speedup)} |"
        for each in rows
    ]
    cpu = fmt.cell(rows[0].cpu)
    flags = fmt.cell(rows[0].cpu_flags) or "no int8 features known"
    source = fmt.cell(params.read(root / params.PARAMS_PATH)["data"]["source"])
    lines += ["", f"Measured on {cpu} ({flags}), with data from {source}."]
    by_role = {each.role: each for each in rows}
    product, baseline = by_role["product"], by_role["baseline"]
    lines += [
        f"The product is {fmt.times(baseline.size_kib / product.size_kib)} smaller and "
        f"{fmt.times(product.speedup)} faster than the baseline, at "
        f"{fmt.points(product.top1 - baseline.top1)} points of accuracy."
    ]
    return "\n".join(lines) + "\n"


def files() -> str:
    """Return a table for each folder of code: its files, and what each is for."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *_LISTED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    code = [path for path in map(Path, listed) if path.suffix in _CODE and (ROOT / path).is_file()]
    folders = sorted({path.parent for path in code}, key=lambda path: _place(path))
    return "\n".join(_folder(each, code) for each in folders)


def _place(folder: Path) -> tuple[int, Path]:
    return _LISTED.index(folder.parts[0]), folder


def _folder(folder: Path, code: list[Path]) -> str:
    inside = sorted(path for path in code if path.parent == folder)
    init = folder / "__init__.py"
    title = f"### `{folder.as_posix()}/`"
    told = [f"\n{first_line(ROOT / init)}"] if init in inside else []
    rows = [f"| `{path.name}` | {first_line(ROOT / path)} |" for path in inside if path != init]
    return "\n".join([title, *told, "", "| file | what it is for |", "|---|---|", *rows, ""])


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring, or of another file's first comment."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    found = _COMMENT.match(text)
    if found is None:
        sys.exit(f"{path.relative_to(ROOT)}: say in a comment at its beginning what it is for")
    return found[1]


if __name__ == "__main__":
    main()
