"""Which ExecuTorch is here, and whether it was tried with the torch that is here. Free of torch.

ExecuTorch lowers what torch exported and loads torch's libraries, so that a release fits one torch.
"""

from importlib import metadata

from slimline.errors import TargetError

LOCK = "requirements-executorch.lock"

_TRIED = {("1.5.1", "2.14.1")}
"""Releases of ExecuTorch and torch that benchmarks/executorch_families.py was run with."""


def require() -> None:
    """Refuse to go on without ExecuTorch, or with a torch that it is not known to fit.

    Raises:
        TargetError: it is not installed, or was not tried with this torch.
    """
    found = versions()
    if not found["executorch"]:
        raise TargetError(
            "target executorch needs packages that are not installed: "
            f"`python -m pip install --no-deps --requirement {LOCK}` adds them"
        )
    if (found["executorch"], found["torch"]) not in _TRIED:
        tried = " or ".join(f"{own} with torch {torch}" for own, torch in sorted(_TRIED))
        raise TargetError(
            f"target executorch was tried with ExecuTorch {tried}; installed are "
            f"{found['executorch']} and torch {found['torch']}: `python -m pip install --no-deps "
            f"--requirement {LOCK}` brings what fits"
        )


def versions() -> dict[str, str]:
    """Return the releases of ExecuTorch and torch, without what names a build; empty: none."""
    return {name: _version(name) for name in ("executorch", "torch")}


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""
