"""Which limits hold for a pull request: those of the base, until it is merged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slimline import params
from slimline.report.gates import OFF, GatesParams

_SECTION = "gates"


@dataclass(frozen=True)
class Loosened:
    """A setting of `gates` that allows more here than on the base."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Held:
    """What is judged by."""

    settings: GatesParams
    """Of each limit the stricter of both commits; burden and confidence as the base has them, or
    `prove` where only this one asks for proof."""
    loosened: list[Loosened]
    """What this commit would allow, if it could; the base's value holds."""


def hold(ours: GatesParams, base: Mapping[str, Any]) -> Held:
    """Return the limits for a comparison with a commit whose flat params are `base`.

    A key that an older base does not have is taken from here.

    Raises:
        ParamsError: a limit of the base is not allowed.
    """
    here = _written(ours)
    given = {key: base.get(f"{_SECTION}.{key}", here[key]) for key in here}
    path = Path("the base's params.yaml")
    there = _written(params.check(given, GatesParams, path, section=_SECTION))
    loosened = [
        Loosened(key, there[key], here[key])
        for key in here
        if _is_looser(key, here[key], there[key], there["burden"])
    ]
    kept = {each.key for each in loosened} | {"confidence"}
    stricter = {key: there[key] if key in kept else here[key] for key in here}
    return Held(GatesParams.model_validate(stricter), loosened)


def _written(settings: GatesParams) -> dict[str, Any]:
    """Return the section as it stands in `params.yaml`."""
    return {key: _plain(value) for key, value in settings.model_dump().items()}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return OFF if value is None else value


def _is_looser(key: str, here: Any, there: Any, burden: str) -> bool:
    if here == there:
        return False
    if key == "burden":
        return bool(there == "prove")
    if key == "confidence":
        return bool(here < there if burden == "prove" else here > there)
    if OFF in (here, there):
        return bool(here == OFF)
    return bool(here > there if key.startswith("max_") else here < there)
