"""Write down what torchvision and timm call their classifiers, so that names are checked fast.

usage: python tools/backbone_names.py

writes slimline/networks/known_names.py, which a test compares with the installed packages.
"""

import textwrap
from pathlib import Path

TARGET = Path(__file__).parent.parent / "slimline" / "networks" / "known_names.py"


def text() -> str:
    """Return the module's text."""
    import timm
    import torchvision.models

    names = {
        "TORCHVISION": torchvision.models.list_models(module=torchvision.models),
        "TIMM": timm.list_models(),
    }
    parts = ['"""The classifiers of torchvision and timm; written by `tools/backbone_names.py`."""']
    for constant, found in names.items():
        lines = textwrap.fill(
            " ".join(sorted(found)), 100, break_long_words=False, break_on_hyphens=False
        )
        parts.append(
            f'_{constant} = """\n{lines}\n"""\n{constant} = frozenset(_{constant}.split())'
        )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
