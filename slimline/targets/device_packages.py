"""Which packages of a target are here, and whether they were tried together. Free of torch.

Exporters take what torch exported and load its libraries, so that a release of them fits few of
torch.
"""

from collections.abc import Mapping, Sequence
from importlib import metadata

from slimline.errors import TargetError


def versions(*names: str) -> dict[str, str]:
    """Return the releases of packages, without what names a build; empty: not installed."""
    return {name: _version(name) for name in names}


def require(
    found: Mapping[str, str], tried: Sequence[Mapping[str, str]], *, target: str, lock: str
) -> None:
    """Refuse to go on without a target's packages, or with some that were not tried together.

    `found` are their releases, `lock` is the file that pins them.

    Raises:
        TargetError: one is not installed, or they were not tried together.
    """
    install = f"`python -m pip install --no-deps --requirement {lock}`"
    if not all(found.values()):
        raise TargetError(
            f"target {target} needs packages that are not installed: {install} adds them"
        )
    if found not in tried:
        raise TargetError(
            f"target {target} was tried with {' or '.join(map(told, tried))}; installed are "
            f"{told(found)}: {install} brings what fits"
        )


def told(releases: Mapping[str, str]) -> str:
    """Return releases as a sentence has them."""
    *others, last = (f"{name} {version}" for name, version in releases.items())
    return f"{', '.join(others)} and {last}"


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""
