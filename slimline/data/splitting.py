"""How a raw set becomes four disjoint splits. Free of torch.

What raw sets look like is known by `slimline.data.sources`; what the splits look like on disk, by
`slimline.data.split_files`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import AfterValidator, Field

from slimline.data import near_copies, sources, split_files, user_files
from slimline.data.packed_files import PackedFiles
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_set import Part, RawSet
from slimline.data.split_files import ImageFile, ImageFiles, Images, Split
from slimline.errors import DataError
from slimline.params import Params

_FEW = 10
"""A class with fewer images in a split is told of."""

_JUDGES = ("test", "validation")
_LEAKING = ("validation", "calibration", "train")
"""Splits that must not know what one of `_JUDGES` has; behind each, from its place on."""

_MEASURED = 10_000
"""Files whose pixels the normalisation is measured on; of an array, all are."""

_CHUNK = 500


_NAME = "[A-Za-z0-9]([A-Za-z0-9 ._-]{0,98}[A-Za-z0-9_-])?"


def _folder_name(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise ValueError(
            "must be the name of a folder in data/raw, at most 100 letters (A to Z), digits, "
            "spaces, dots, hyphens and underscores that begin with a letter or digit: rename the "
            "folder"
        )
    return name


class DataParams(Params):
    """Section `data`: what `prepare_data` reads and how it splits."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Seed of the splits, apart from that of training: other runs see the same images."""

    source: Annotated[
        str, AfterValidator(_folder_name), Field(json_schema_extra={"pattern": f"^{_NAME}$"})
    ]
    """A folder under data/raw, or a classification set by torchvision's name, as CIFAR10."""

    image_size: Annotated[int, Field(ge=8, le=1024)]
    """Height and width that every image is brought to, pixels."""

    crop: Annotated[float, Field(ge=0.05, le=1)]
    """Share of an image's height and width that evaluation looks at, around the centre. A twentieth
    is of most photos fewer pixels than the frame has, and far less overflows the size to decode."""

    validation_images: Annotated[int, Field(ge=0)]
    """Images for model selection, taken from train evenly over the classes; 0: the set's own."""

    calibration_images: Annotated[int, Field(ge=1)]
    """Images that set the ranges of quantized activations, likewise taken from train."""

    test_images: Annotated[int, Field(ge=0)]
    """Images for the final score, likewise taken from train; 0: the set's own."""

    store: Literal["original", "resized"]
    """How photos lie in data/prepared: as they are, or large JPEGs as evaluation decodes them, at
    several times the frame and without a loss, where that takes fewer bytes."""

    on_bad_image: Literal["error", "skip"]
    """What to do about files that cannot be used: stop, or go on without them; both name them."""

    near_copies: Literal["report", "refuse", "ignore"]
    """What to do about photos of test and validation of which a resized or recompressed copy stands
    in another split: name them, stop, or not look for them."""


def prepare(raw: Path, settings: DataParams, *, seed: int, scratch: Path) -> dict[str, Split]:
    """Return the splits train, calibration, validation and test of `raw / settings.source`.

    What the set holds out itself stays together; the others are split at random but stratified.
    Every split comes in a random order of which each beginning has the classes in proportion, so
    that whoever takes the first images takes a sample.
    What must be downloaded is put into `scratch`, and has to stay there until the splits are saved.

    Raises:
        DataError: a file is missing, damaged or malformed, or too few images are left to train on.
    """
    source = sources.read(
        settings.source,
        raw,
        scratch,
        size=settings.image_size,
        crop=settings.crop,
        skip_bad=settings.on_bad_image == "skip",
        looks=settings.near_copies != "ignore",
    )
    wanted = {
        "validation": _held_out(settings.validation_images, source.validation, "validation"),
        "calibration": settings.calibration_images,
        "test": _held_out(settings.test_images, source.test, "test"),
    }
    if sum(wanted.values()) >= len(source.train):
        asked = " + ".join(f"data.{name}_images" for name in wanted)
        raise DataError(
            f"params.yaml: {asked} = {sum(wanted.values())} leave nothing to train on: "
            f"{settings.source} has {len(source.train)} training images"
        )
    _report_single(source)
    rows = _rows(source.train, wanted, seed)
    parts = {
        name: _taken(source.train, index)
        for name, index in zip([*wanted, "train"], rows, strict=True)
    }
    own = {"validation": source.validation, "test": source.test}
    parts |= {
        name: _taken(part, _stratified_order(part.labels, seed))
        for name, part in own.items()
        if part is not None
    }
    _report_few(parts, source)
    _report_near_copies(parts, settings)
    images = {name: _framed(part.images, settings) for name, part in parts.items()}
    frame = _measure(images["train"], settings)
    return {
        name: Split(_with_frame(images[name], frame), parts[name].labels, source.classes, frame)
        for name in ("train", "calibration", "validation", "test")
    }


def _taken(part: Part, rows: NDArray[np.int64]) -> Part:
    return Part(split_files.take(part.images, rows), part.labels[rows])


def _held_out(asked: int, own: Part | None, name: str) -> int:
    """Return how many images must be taken from train.

    Raises:
        DataError: the set has such images itself though some are asked for, or the other way round.
    """
    if own is not None and asked:
        raise DataError(
            f"params.yaml: data.{name}_images: the set has {len(own)} {name} images of its own: "
            f"say 0 (given {asked})"
        )
    if own is None and not asked:
        raise DataError(
            f"params.yaml: data.{name}_images: the set has no {name} images of its own: say how "
            "many to take from train (given 0)"
        )
    return asked


def _report_few(parts: dict[str, Part], source: RawSet) -> None:
    """Tell of classes with next to no images.

    Raises:
        DataError: a class has none to train on.
    """
    for name, part in parts.items():
        counts = np.bincount(part.labels, minlength=len(source.classes)).tolist()
        given = list(zip(source.classes, counts, strict=True))
        missing = [repr(label) for label, count in given if not count]
        if missing and name == "train":
            raise DataError(
                f"class {user_files.some(missing)} has too few images: none is left to train on; "
                "add photos, or ask for fewer images of validation, calibration and test"
            )
        if missing:
            print(f"{name} has no images of {user_files.some(missing)}")
        few = [f"{label!r}: {count}" for label, count in given if 0 < count < _FEW]
        if few and name != "calibration":
            print(f"{name} has few images of some classes: {user_files.some(few)}")


def _report_near_copies(parts: dict[str, Part], settings: DataParams) -> None:
    """Tell of photos that judge a model and have a near copy among those that made it.

    Raises:
        DataError: there are any, and they shall be refused, or they cannot be looked for.
    """
    if settings.near_copies == "ignore":
        return
    if settings.near_copies == "refuse" and not _files(parts["train"]):
        raise DataError(
            "params.yaml: data.near_copies: near copies are looked for among photos in folders and "
            f"lists, not in {settings.source}: say report or ignore (given refuse)"
        )
    lines = []
    for number, judge in enumerate(_JUDGES):
        own = _files(parts[judge])
        others = [each for name in _LEAKING[number:] for each in _files(parts[name])]
        found = near_copies.find([each.look for each in own], [each.look for each in others])
        names = [f"{own[pair.photo].name} = {others[pair.other].name}" for pair in found]
        if names:
            lines.append(
                f"{judge}: {len(names)} of {len(own)} photos have a near copy in another split, "
                f"which makes a model look better than it is: {user_files.some(names)}"
            )
    if not lines:
        return
    advice = "take one of each pair out, or give both the same group in labels.csv"
    told = "\n".join([*lines, advice])
    if settings.near_copies == "refuse":
        raise DataError(f"{settings.source}: {told}; data.near_copies: report goes on all the same")
    print(told)


def _files(part: Part) -> Sequence[ImageFile]:
    """Return the photos of a part whose looks are known; of an array, none."""
    given = part.images.files if isinstance(part.images, ImageFiles) else []
    assert not isinstance(given, PackedFiles), "a raw set is not packed"
    return [each for each in given if each.look]


def _report_single(source: RawSet) -> None:
    counts = np.bincount(source.train.labels, minlength=len(source.classes)).tolist()
    given = zip(source.classes, counts, strict=True)
    if single := [repr(label) for label, count in given if count == 1]:
        have = "class has" if len(single) == 1 else "classes have"
        print(
            f"{len(single)} {have} a single photo to train on, which no other split gets: "
            f"{user_files.some(single)}; add photos, ten or more each, or take the classes out"
        )


def _rows(train: Part, wanted: dict[str, int], seed: int) -> list[NDArray[np.int64]]:
    """Return which rows each of the wanted splits gets, and last those that stay in train."""
    if train.groups is not None:
        return _grouped_rows(train.labels, train.groups, wanted, seed)
    counts = list(wanted.values())
    order = _stratified_order(train.labels, seed)
    return np.split(_keep_one(order, train.labels, sum(counts)), np.cumsum(counts))


def _stratified_order(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return a random order of all rows in which every prefix has the classes in proportion."""
    generator = np.random.default_rng(seed)
    place = np.empty(len(labels))
    for label in np.unique(labels):
        rows = generator.permutation(np.flatnonzero(labels == label))
        place[rows] = (np.arange(len(rows)) + generator.random()) / len(rows)
    return np.argsort(place, kind="stable")


def _keep_one(
    order: NDArray[np.int64], labels: NDArray[np.int64], held_out: int
) -> NDArray[np.int64]:
    """Return an order in which each class has a row beyond the first `held_out`, if there is room.

    A class with one or two images would otherwise be left to train on by chance, by the seed.
    """
    order = order.copy()
    left = np.bincount(labels[order[held_out:]], minlength=labels.max() + 1)
    for label in np.setdiff1d(labels, labels[order[held_out:]]):
        richest = int(left.argmax())
        if left[richest] < 2:
            break
        own = np.flatnonzero(labels[order] == label)[-1]
        other = held_out + np.flatnonzero(labels[order[held_out:]] == richest)[0]
        order[[own, other]] = order[[other, own]]
        left[[label, richest]] += [1, -1]
    return order


def _grouped_rows(
    labels: NDArray[np.int64], groups: NDArray[np.int64], wanted: dict[str, int], seed: int
) -> list[NDArray[np.int64]]:
    """Return the rows of each wanted split and of train, no group in two of them.

    The counts are the nearest to the wanted ones that whole groups make, one split after the other.

    Raises:
        DataError: no groups are left for a split.
    """
    free = _free_groups(labels, groups, seed)
    sizes = np.bincount(groups)
    split_of = np.full(len(sizes), len(wanted))
    for number, (name, count) in enumerate(wanted.items()):
        if not count:
            continue
        if not len(free):
            raise DataError(
                f"data.{name}_images: no group is left for {name}, since each of the {len(sizes)} "
                "stays in one split and every class keeps one to train on: ask for fewer images, "
                "or list smaller groups"
            )
        chosen = _nearest(sizes[free], count)
        found = int(sizes[free[chosen]].sum())
        split_of[free[chosen]] = number
        free = free[~chosen]
        if found != count:
            print(f"{name} has {found} images instead of {count}, since groups stay together")
    order = _stratified_order(labels, seed)
    return [order[split_of[groups[order]] == number] for number in range(len(wanted) + 1)]


def _free_groups(
    labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> NDArray[np.int64]:
    """Return a random order of all groups but one for each class, which is left to train on.

    Where a group has images of several classes, its first one counts.
    """
    _, first = np.unique(groups, return_index=True)
    order = _stratified_order(labels[first], seed)
    place = np.argsort(order)
    last = np.zeros(labels.max() + 1, np.int64)
    np.maximum.at(last, labels, place[groups])
    return np.delete(order, np.unique(last[np.unique(labels)]))


def _nearest(sizes: NDArray[np.int64], wanted: int) -> NDArray[np.bool_]:
    """Return which of some groups to take, one or more, so that their sizes sum up to `wanted`.

    If no groups do, the nearest sum is taken. As many of the first ones as can be are among them,
    for the sake of their order, and what is lacking is made of any that fit.
    """
    best = abs(_total(_fill(sizes, wanted, least=1)) - wanted)
    num_first = int((sizes.cumsum() <= wanted).sum())
    while True:
        rest = wanted - int(sizes[:num_first].sum())
        fill = _fill(sizes[num_first:], rest, least=0 if num_first else 1)
        if abs(_total(fill) - rest) == best:
            break
        num_first //= 2
    chosen = np.arange(len(sizes)) < num_first
    for size, count in fill.items():
        chosen[num_first + np.flatnonzero(sizes[num_first:] == size)[:count]] = True
    return chosen


def _total(fill: dict[int, int]) -> int:
    return sum(size * count for size, count in fill.items())


def _fill(sizes: NDArray[np.int64], wanted: int, *, least: int) -> dict[int, int]:
    """Return how many groups of each size sum up to what is nearest to `wanted`, from `least` up.

    Bit n of a whole number says whether the sum n can be reached: a shift adds a bundle of groups.
    """
    bundles = []
    for size, left in zip(*map(np.ndarray.tolist, np.unique_counts(sizes)), strict=True):
        bundle = 1
        while left:
            bundles.append((size, min(bundle, left)))
            left, bundle = left - min(bundle, left), 2 * bundle
    smallest = min((size for size, _ in bundles), default=0)
    mask = (2 << max(2 * wanted, smallest)) - 1
    reached = [1]
    for size, count in bundles:
        reached.append((reached[-1] | reached[-1] << size * count) & mask)
    total = _closest(reached[-1], wanted, least)
    fill: dict[int, int] = {}
    for (size, count), without in zip(reversed(bundles), reversed(reached[:-1]), strict=True):
        if not without >> total & 1:
            fill[size] = fill.get(size, 0) + count
            total -= size * count
    return fill


def _closest(reached: int, wanted: int, least: int) -> int:
    """Return the number nearest to `wanted`, from `least` up, whose bit is set."""
    bits = f"{reached:b}"[::-1]
    numbers = (number for number in range(least, len(bits)) if bits[number] == "1")
    return min(numbers, key=lambda number: abs(number - wanted))


def _framed(images: Images, settings: DataParams) -> Images:
    """Return the images of an array at the frame's size; files are brought to it when read."""
    size = settings.image_size
    if isinstance(images, ImageFiles) or (images.shape[1:3] == (size, size) and settings.crop == 1):
        return images
    frame = Preprocessing(size, size, images.shape[-1], mean=(), std=(), crop=settings.crop)
    return np.stack([frame.to_pixels(Image.fromarray(image.squeeze())) for image in images])


def _with_frame(images: Images, frame: Preprocessing) -> Images:
    return ImageFiles(images.files, frame) if isinstance(images, ImageFiles) else images


def _measure(images: Images, settings: DataParams) -> Preprocessing:
    """Return the normalisation of a training split: mean and spread per channel, 4 digits.

    Sums of whole numbers are exact, so that no order changes them.
    """
    step = max(1, len(images) // _MEASURED) if isinstance(images, ImageFiles) else 1
    rows = np.arange(0, len(images), step)
    num_levels = 256
    counts = np.zeros((images[rows[:1]].shape[-1], num_levels), np.int64)
    for start in range(0, len(rows), _CHUNK):
        chunk = images[rows[start : start + _CHUNK]]
        for channel, own in enumerate(counts):
            own += np.bincount(chunk[..., channel].ravel(), minlength=num_levels)
    levels, count = np.arange(num_levels), counts[0].sum()
    total, squares = counts @ levels, counts @ levels**2
    mean = total / (255 * count)
    std = np.round(np.sqrt(np.maximum(squares / (255**2 * count) - mean**2, 0)), 4)
    if not std.all():
        constant = ", ".join(str(channel) for channel in np.flatnonzero(std == 0))
        print(
            f"channel {constant} of {len(std)}, counted from 0, is the same in every image; it is "
            "divided by 1 instead of its spread, which is 0"
        )
    # A channel that says nothing stays what it is: dividing by 0 would make it infinite.
    spread = np.where(std == 0, 1.0, std)
    rounded = [tuple(figure.tolist()) for figure in (np.round(mean, 4), spread)]
    size = settings.image_size
    return Preprocessing(
        size,
        size,
        len(mean),
        rounded[0],
        rounded[1],
        settings.crop,
        draft=isinstance(images, ImageFiles),
    )
