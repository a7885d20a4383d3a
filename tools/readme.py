"""Write the result table of the README from metrics/, between its two markers.

`python tools/readme.py` writes, `python tools/readme.py --check` exits 1 if the README is stale.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Run as a script, Python looks for modules beside it, not in the repository.
sys.path.insert(0, str(ROOT))

from slimline import variants  # noqa: E402
from slimline.measure import variant  # noqa: E402
from slimline.report import filters  # noqa: E402

README = ROOT / "README.md"
_BEGIN = "<!-- results: written by `python tools/readme.py` from metrics/ -->\n"
_END = "<!-- /results -->\n"


def main() -> None:
    """Renew the table, or check that it is fresh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    arguments = parser.parse_args()
    old = README.read_text(encoding="utf-8")
    new = with_table(old, table())
    if arguments.check and old != new:
        sys.exit("README.md: the result table is stale, run `python tools/readme.py`")
    if not arguments.check:
        README.write_text(new, encoding="utf-8")


def with_table(text: str, rows: str) -> str:
    """Return the README with everything between the markers replaced."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    return f"{before}{_BEGIN}{rows}{_END}{after}"


def table() -> str:
    """Return the result table, Markdown."""
    declared = variants.read(ROOT / variants.PATH)
    rows = variant.load(ROOT / "metrics", [declared[name] for name in declared])
    lines = [
        "| variant | top-1 on test | file | MACs | executed in int8 | p50, one thread | speedup |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| `{each.name}` | {filters.percent(each.top1)} | {filters.kib(each.size_kib)} "
        f"| {filters.millions(each.macs_m)} | {filters.percent(each.int8_macs, 0)} "
        f"| {filters.milliseconds(each.p50_ms)} | {filters.times(each.speedup)} |"
        for each in rows
    ]
    cpu = filters.cell(rows[0].cpu)
    flags = filters.cell(rows[0].cpu_flags) or "no int8 features known"
    lines += ["", f"Measured on {cpu} ({flags}), the default run on Fashion-MNIST."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
