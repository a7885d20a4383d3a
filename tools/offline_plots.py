"""Write the page around DVC's plots, with the libraries that draw them inside.

  python tools/offline_plots.py

writes `.dvc/plots/offline.html`, which .dvc/config names as `plots.html_template`: what `dvc plots
show` and `dvc plots diff` make is one file that opens without a network. DVC's own page loads the
same libraries from a server. It is in git, so this is needed for a newer version of them alone: say
which below, and run it where npm is.
"""

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parent.parent / ".dvc" / "plots" / "offline.html"


@dataclass(frozen=True)
class Package:
    """A version of a package of npm."""

    name: str
    version: str
    sha512: str
    """Of the packed file, in base64, as `npm view NAME@VERSION dist.integrity` prints it."""


# The last versions that draw what DVC writes: Vega-Lite 5.
PACKAGES = (
    Package(
        "vega",
        "5.33.0",
        "jNAGa7TxLojOpMMMrKMXXBos4K6AaLJbCgGDOw1YEkLRjUkh12pcf65J2lMSdEHjcEK47XXjKiOUVZ8L+MniBA==",
    ),
    Package(
        "vega-lite",
        "5.23.0",
        "l4J6+AWE3DIjvovEoHl2LdtCUkfm4zs8Xxx7INwZEAv+XVb6kR6vIN1gt3t2gN2gs/y4DYTs/RPoTeYAuEg6mA==",
    ),
    Package(
        "vega-embed",
        "6.29.0",
        "PmlshTLtLFLgWtF/b23T1OwX53AugJ9RZ3qPE2c01VFAbgt3/GSNI/etzA/GzdrkceXFma+FDHNXUppKuM0U6Q==",
    ),
)

# DVC fills in what stands in single braces; each plot brings a script that calls vegaEmbed.
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<!-- Written by `python tools/offline_plots.py`. -->
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{refresh_tag}
<title>Slimline: plots</title>
<style>
body { margin: 1rem; font-family: sans-serif; background: white; }
body > div { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top; }
</style>
SCRIPTS
</head>
<body>
{plot_divs}
</body>
</html>
"""


def main() -> None:
    """Fetch the packages, check them, write the page."""
    with tempfile.TemporaryDirectory() as folder:
        scripts = "\n".join(script(package, Path(folder)) for package in PACKAGES)
    TARGET.write_text(_PAGE.replace("SCRIPTS", scripts), encoding="utf-8")


def script(package: Package, folder: Path) -> str:
    """Return the code of a package for a page, and its licence."""
    name = f"{package.name}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", name], cwd=folder, stdout=sys.stderr, check=True)
    packed = folder / f"{package.name}-{package.version}.tgz"
    digest = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if digest != package.sha512:
        sys.exit(f"{name}: the packed file has another hash than this script has")
    code = _read(packed, f"package/build/{package.name}.min.js")
    licence = _read(packed, "package/LICENSE")
    assert "</script" not in code
    assert "-->" not in licence
    return f"<!-- {name}\n\n{licence}-->\n<script>\n{code}\n</script>"


def _read(packed: Path, name: str) -> str:
    with tarfile.open(packed) as archive:
        member = archive.extractfile(name)
        assert member is not None
        return member.read().decode()


if __name__ == "__main__":
    main()
