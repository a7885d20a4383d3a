import ast

import pytest

from slimline.code_hashes import hashed_syntax

MODULE = '''
"""A module."""
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LIMIT = 3


class Settings:
    """A class."""

    rate: float = 0.5
    """A field."""

    def double(self):
        """A method."""
        return 2 * self.rate  # twice
'''


def digest(text: str) -> str:
    return hashed_syntax.digest(hashed_syntax.parse(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # twice", "  # two times"),
        ('"""A module."""', '"""Another text."""'),
        ('    """A field."""\n', ""),
        ('"""A method."""', "'''One.\n\n        More of it.'''"),
        ("    import torch", "    import torch, numpy"),
        ("LIMIT = 3", "LIMIT = (\n    3\n)"),
    ],
)
def test_what_only_people_read_does_not_count(old: str, new: str) -> None:
    assert old in MODULE
    assert digest(MODULE) == digest(MODULE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2 * self", "3 * self"),
        ("0.5", "0.25"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = True"),
        ("rate: float", "rate: int"),
        ("import os", "import sys"),
        ("if TYPE_CHECKING:", "if os:"),
        ("LIMIT = 3", 'LIMIT = "3"'),
        ("LIMIT = 3", 'LIMIT = f"{3}"'),
    ],
)
def test_everything_else_does(old: str, new: str) -> None:
    assert old in MODULE
    assert digest(MODULE) != digest(MODULE.replace(old, new))


def test_a_digest_is_the_same_on_every_python() -> None:
    # Python 3.13 and later leave empty fields out of `ast.dump`, new versions add fields; this one
    # was also found by Python 3.12 and 3.13 (docs/decisions/0018-code-hashes.md).
    text = (
        MODULE
        + '\n\nasync def odd(*a, b=1, **c):\n    return f"{a!r:>{b}}\\u2028", b"\\0", 1e300\n'
    )
    assert digest(text)[:16] == "0bddefe2761d3aab"


def test_of_some_names_only_what_they_use_counts() -> None:
    text = "import a, b\nX = 1\nY = X + a.f()\ndef g(): return b\ng.unused = None\nsetup(X)\n"
    kept = hashed_syntax.used(hashed_syntax.parse(text), {"Y"})
    assert [ast.unparse(each) for each in kept] == [
        "import a",
        "X = 1",
        "Y = X + a.f()",
        "setup(X)",
    ]


def test_names_imported_inside_functions_count() -> None:
    text = "def f():\n    from a import b\n    import c.d as e\n"
    assert list(hashed_syntax.imported(hashed_syntax.parse(text))) == ["a.b", "c.d"]
