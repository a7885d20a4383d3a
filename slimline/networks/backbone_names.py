"""Whether a name of `backbone` stands for a network; looks at no library, so that it is fast."""

import ast
import re
from difflib import get_close_matches
from pathlib import Path

from slimline.networks.known_names import TIMM, TORCHVISION
from slimline.networks.registry import REGISTRY

_LIBRARIES = {"torchvision": TORCHVISION, "timm": TIMM}

_OWN = re.compile(r"own((?:\.[A-Za-z_]\w*)+):([A-Za-z_]\w*)")

_KINDS = (
    "torchvision:<name>, timm:<name>, or own.<module>:<function> for a network of your own, which "
    "`def function(num_classes, in_channels)` in own/<module>.py builds"
)


def check(name: str) -> str:
    """Return a name that stands for a network.

    Raises:
        ValueError: it stands for none.
    """
    library, has_colon, entry = name.partition(":")
    if name in REGISTRY:
        return name
    if library in _LIBRARIES and has_colon:
        if entry in _LIBRARIES[library]:
            return name
        near = get_close_matches(entry, _LIBRARIES[library])
        meant = f"; did you mean {', '.join(near)}?" if near else ""
        raise ValueError(f"{library} has no classifier {entry}{meant}")
    if library.split(".")[0] == "own":
        return _own(name)
    if has_colon and "." in library:
        raise ValueError("a network of your own must be in the folder own/, as own.mine:build")
    raise ValueError(f"must be one of {', '.join(REGISTRY)}; or {_KINDS}")


def _own(name: str) -> str:
    """Look for the function in the file, which is not run."""
    found = _OWN.fullmatch(name)
    if found is None:
        raise ValueError(f"must be {_KINDS}")
    path = Path("own", *found[1].strip(".").split(".")).with_suffix(".py")
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        statements = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise ValueError(f"{path} is no Python: line {error.lineno}: {error.msg}") from None
    defined = {each.name for each in statements if isinstance(each, ast.FunctionDef | ast.ClassDef)}
    if found[2] not in defined and not any(_is_named(found[2], each) for each in statements):
        raise ValueError(f"{path} defines no {found[2]}, but {', '.join(sorted(defined))}")
    return name


def _is_named(name: str, statement: ast.stmt) -> bool:
    """Return whether a statement gives something a name, as `small = partial(Net, width=32)`."""
    return isinstance(statement, ast.Assign) and any(
        isinstance(each, ast.Name) and each.id == name
        for target in statement.targets
        for each in ast.walk(target)
    )
