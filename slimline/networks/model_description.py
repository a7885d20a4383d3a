"""What `model.json` must say of a model, so that its network can be rebuilt. Free of torch.

The file is ours, and yet it is copied, edited and merged by hand: what is missing or wrong is told
in a sentence, before a network is built of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from slimline.networks import backbone_names
from slimline.networks.architecture import Activation


def _grey_or_rgb(channels: int) -> int:
    if channels not in {1, 3}:
        raise ValueError("must be 1 for grey or 3 for RGB")
    return channels


_Channels = Annotated[int, AfterValidator(_grey_or_rgb)]
_Width = Annotated[int, Field(ge=1)]


class _Described(BaseModel):
    """JSON's own types; what later versions say besides is left alone."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Architecture(_Described):
    """As `slimline.networks.architecture.Architecture`, where each key is explained."""

    model_config = ConfigDict(extra="forbid")

    backbone: Annotated[str, AfterValidator(backbone_names.check)]
    num_classes: Annotated[int, Field(ge=1)]
    channels: _Channels
    stem_stride: Annotated[int, Field(ge=1)]
    stem_kernel: Annotated[int, Field(ge=1)]
    activation: Activation = "keep"
    reparameterised: bool = False
    split_widths: dict[str, dict[str, _Width | list[_Width]]] = Field(default_factory=dict)


class _Preprocessing(_Described):
    """As `slimline.data.preprocessing.Preprocessing`."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: _Channels
    mean: list[float]
    std: list[Annotated[float, Field(gt=0)]]
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    draft: bool = False

    @model_validator(mode="after")
    def _has_a_number_per_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"must have {self.channels} numbers in mean and in std, as many as channels (given "
                f"{len(self.mean)} and {len(self.std)})"
            )
        return self


class _Model(_Described):
    architecture: _Architecture
    classes: Annotated[list[str], Field(min_length=1)]
    preprocessing: _Preprocessing
    pretrained: dict[str, Any] | None

    @model_validator(mode="after")
    def _has_a_name_per_class(self) -> Self:
        if len(self.classes) != self.architecture.num_classes:
            raise ValueError(
                f"must name as many classes as architecture.num_classes says (given "
                f"{len(self.classes)} and {self.architecture.num_classes})"
            )
        return self


def mistake(content: Mapping[str, Any], path: Path) -> str | None:
    """Return what keeps the network of a `model.json` at `path` from being rebuilt, a sentence."""
    try:
        _Model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
        is_told = first["type"] == "missing" or "(given" in said
        told = "is missing" if first["type"] == "missing" else said
        given = "" if is_told else f" (given {first['input']!r})"
        return (
            f"{path}: {f'{key}: ' if key else ''}{told}{given}; it must be the file that a stage "
            "of Slimline wrote: copy the folder again, weights and all"
        )
    return None
