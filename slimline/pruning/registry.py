"""The table of pruning methods. Adding one: a file in `methods`, a line here.

What a method decides is what can go and how important it is (`survey`).
"""

from pathlib import Path

from slimline import params
from slimline.errors import ParamsError
from slimline.lazy_registry import Registry
from slimline.pruning.settings import PruneSettings

METHODS: Registry[type[PruneSettings]] = Registry(
    {
        "structured_magnitude": "slimline.pruning.methods.structured_magnitude:StructuredMagnitude",
        "taylor": "slimline.pruning.methods.taylor:Taylor",
        "unstructured_taylor": ("slimline.pruning.methods.unstructured_taylor:UnstructuredTaylor"),
        "magnitude": "slimline.pruning.methods.magnitude:Magnitude",
    },
    chosen_by=("prune.method",),
)


def load(path: Path) -> PruneSettings:
    """Return section `prune` of a `params.yaml` as the settings of its method.

    Raises:
        ParamsError: the section is missing, or a key or value is not allowed.
    """
    section = params.read(path).get("prune")
    method = section.get("method") if isinstance(section, dict) else None
    if not isinstance(method, str) or method not in METHODS:
        raise ParamsError(
            [f"{path}: prune.method: must be one of {', '.join(METHODS)} (given {method!r})"]
        )
    return params.load("prune", METHODS[method], path)
