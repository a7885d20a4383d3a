"""Large JPEGs as evaluation decodes them, without a loss: what training reads in every epoch.

Of a photo of twelve megapixels most of the time of decoding goes into its two or more megabytes of
entropy code, however small it is decoded. Its pixels at an eighth of its size are fewer bytes, and
take next to no time.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import islice

from slimline.data import preprocessing
from slimline.data.packed_files import Member
from slimline.data.preprocessing import Preprocessing

_AT_ONCE = 32
"""Files in memory at a time."""


def of(members: Iterable[Member], frame: Preprocessing) -> Iterator[Member]:
    """Yield the same files, in their order, a copy in place of each that is larger than its copy.

    What evaluation makes of a copy is what it makes of the file, byte for byte. The hash stays that
    of the user's file.
    """
    left, smaller = iter(members), partial(_smaller, frame=frame)
    with preprocessing.decoders(os.cpu_count() or 1) as threads:
        while some := list(islice(left, _AT_ONCE)):
            yield from threads.map(smaller, some)


def _smaller(member: Member, frame: Preprocessing) -> Member:
    """Return a file, or its copy: grey or RGB, upright, in the netpbm format, uncompressed."""
    if len(member.content) <= frame.least**2 * frame.channels:
        return member  # No copy has fewer pixels: most files need not be opened.
    with preprocessing.opened(BytesIO(member.content)) as image:
        whole = image.size
        preprocessing.decode_small(image, frame.least)
        width, height = image.size
        if image.size == whole or width * height * frame.channels >= len(member.content):
            return member
        copy = BytesIO()
        preprocessing.upright(image, frame.channels).save(copy, "PPM")
    return replace(member, content=copy.getvalue(), suffix=".ppm")
