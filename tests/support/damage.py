"""What disks and networks do to files, for the tests of everything that writes and reads them."""

import resource
from contextlib import contextmanager

import numpy as np


@contextmanager
def limited_files(num_bytes):
    """Writing more into a file fails, as on a disk without space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def corrupted(whole, rng, num_head_bytes):
    """One damage of a file: bits, a cut, a wrong beginning, a hole, a header that lies.

    Args:
        whole: the bytes of the file.
        rng: of numpy.
        num_head_bytes: how far its header may reach.
    """
    data, kind = bytearray(whole), rng.integers(5)
    if kind == 0:
        for place in rng.integers(len(data), size=rng.integers(1, 20)):
            data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del data[rng.integers(len(data)) :]
    elif kind == 2:
        data[: rng.integers(4, 200)] = rng.bytes(int(rng.integers(4, 200)))
    elif kind == 3:
        start = int(rng.integers(len(data)))
        data[start : start + 200] = bytes(len(data[start : start + 200]))
    else:
        for place in rng.integers(min(num_head_bytes, len(data)), size=4):
            data[place] = int(rng.choice([0, 1, 127, 128, 255]))
    return bytes(data)


def flipped(whole, num_flips, seed=0):
    """Copies of a file with one bit changed, at places that the seed decides.

    Args:
        whole: the bytes of the file.
        num_flips: copies.
        seed: of the places.
    """
    rng = np.random.default_rng(seed)
    for place in rng.integers(len(whole), size=num_flips):
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        yield bytes(data)
