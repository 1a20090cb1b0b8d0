"""Writes tar shards of any members, well-formed or not."""

import io
import json
import tarfile

from PIL import Image

LINK, HARD_LINK = "link", "hard link"
TYPES = {LINK: tarfile.SYMTYPE, HARD_LINK: tarfile.LNKTYPE}


def write_tar(path, members, *, form=tarfile.GNU_FORMAT):
    """A shard of names and contents; LINK and HARD_LINK stand for links to `../outside`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content in (LINK, HARD_LINK):
                member.type, member.linkname = TYPES[content], "../outside"
                tar.addfile(member)
            else:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def picture(number, size=(32, 24), suffix="png"):
    """A picture of one grey, as a file."""
    file = io.BytesIO()
    Image.new("RGB", size, ((20 * number) % 256, number // 13, 0)).save(file, suffix)
    return file.getvalue()


def record(**values):
    return json.dumps(values).encode()


def numbered(first, end):
    """Members of pictures with their numbers as captions."""
    for number in range(first, end):
        yield f"{number:05}.png", picture(number)
        yield f"{number:05}.txt", f"picture {number}".encode()
