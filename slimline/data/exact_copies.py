"""Images that are the same pixel by pixel, in whatever format their files are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from slimline.data.file_check import Bad, UserImage
from slimline.data.part_names import PARTS


def without_copies(images: Sequence[UserImage]) -> tuple[list[UserImage], list[Bad]]:
    """Return each image once, and what is wrong with its copies, also in other formats.

    A copy of the same class in the same part is harmless and dropped with a line; the same image in
    two classes is in none, and in two parts it stays in the one that judges.
    """
    by_pixels: Mapping[str, list[UserImage]] = defaultdict(list)
    for each in images:
        by_pixels[each.pixels].append(each)
    kept, bad, num_dropped = set(), [], 0
    for same in by_pixels.values():
        if len({each.found.label for each in same}) > 1:
            names = " and ".join(each.found.name for each in same)
            bad.append(Bad(names, "are the same image in different classes"))
            continue
        first = min(same, key=lambda each: PARTS.index(each.found.part))
        kept.add(first.found.path)
        for other in same:
            if other.found.part != first.found.part:
                bad.append(Bad(other.found.name, f"is the same image as {first.found.name}"))
            elif other is not first:
                num_dropped += 1
    if num_dropped:
        print(f"{num_dropped} images are there more than once in their class, and are used once")
    return [each for each in images if each.found.path in kept], bad
