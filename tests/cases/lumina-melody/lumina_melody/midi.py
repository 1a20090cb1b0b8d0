"""Melody <-> Standard MIDI file of one track.

A melody is a piano-roll, a uint8 tensor (step, pitch): 0 silent, 1 held, 2 struck. A step is a
sixteenth note; the pitches are three octaves. A held cell follows a struck or a held one of its
pitch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lumina_core import Decoder, atomic_write
from lumina_core.media.containers import comment_with, metadata_in, reading
from lumina_melody.options import MAX_BEATS, STEPS_PER_BEAT
from lumina_melody.world import LOW, NUM_PITCHES

HEADER, TRACK = b"MThd\0\0\0\6\0\0\0\1", b"MTrk"  # type 0: one track
TEXT, END = b"\xff\1", b"\xff\x2f\0"  # meta events
ON, OFF, VELOCITY = 0x90, 0x80, 80
CELL = 4  # pixels of a preview
COLOURS = (12, 12, 24), (90, 150, 220), (255, 230, 120)  # silent, held, struck


class MidiDecoder(Decoder):
    """The request is a text event at the beginning, which says the length in steps, too."""

    suffixes = (".mid",)
    noun = "melodies"

    def write(self, media: Tensor, path: Path, metadata: Mapping[str, Any], options: Any) -> None:
        """Write the file, whole or not at all. Raises LuminaError for another suffix."""
        self.check_suffix(path)
        after = torch.cat([media[1:], torch.zeros_like(media[:1])])
        ends = ((media > 0) & (after != 1)).nonzero().tolist()
        events = [(step + 1, OFF, pitch) for step, pitch in ends]
        events += [(step, ON, pitch) for step, pitch in (media == 2).nonzero().tolist()]
        text = comment_with(metadata).encode("ascii")
        track, now = b"\0" + TEXT + _number(len(text)) + text, 0
        for step, kind, pitch in sorted(events):  # what ends comes before what begins
            track += _number(step - now) + bytes([kind, LOW + pitch, VELOCITY])
            now = step
        track += _number(len(media) - now) + END
        chunks = HEADER + STEPS_PER_BEAT.to_bytes(2, "big") + TRACK
        with atomic_write(path) as file:
            file.write(chunks + len(track).to_bytes(4, "big") + track)

    def read(self, path: Path) -> Tensor:
        """The melody of a file. Raises LuminaError for one that is broken or not of this kind."""
        with reading(path, "a melody"):
            events = list(_events(path.read_bytes()))
            length = events[-1][0]
            if not 1 <= length <= MAX_BEATS * STEPS_PER_BEAT:
                raise ValueError(f"its length of {length} steps is not within 1 and {MAX_BEATS}")
            media = torch.zeros(length, NUM_PITCHES, dtype=torch.uint8)
            begun: dict[int, int] = {}
            for now, kind, data in events:
                if kind in (ON, OFF) and data[0] - LOW not in range(NUM_PITCHES):
                    raise ValueError(f"note {data[0]} is outside its {NUM_PITCHES} pitches")
                if kind == ON:
                    begun[data[0] - LOW] = now
                elif kind == OFF:
                    start = begun.pop(data[0] - LOW)
                    media[start:now, data[0] - LOW] = 1
                    media[start, data[0] - LOW] = 2
            if begun:
                raise ValueError("a note never ends")
            return media

    def read_metadata(self, path: Path) -> dict[str, Any] | None:
        """The request inside a file; None where there is none."""
        with reading(path, "a melody"):
            for _, kind, data in _events(path.read_bytes()):
                if kind == TEXT[1]:
                    return metadata_in(data.decode("ascii"), path)
            return None

    def preview(self, media: Tensor, options: Any) -> Tensor:
        """An RGB picture: time to the right, pitch upwards."""
        colours = torch.tensor(COLOURS, dtype=torch.uint8)
        picture = colours[media.T.flip(0).long()].permute(2, 0, 1)
        return picture.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)


def _number(value: int) -> bytes:
    """Seven bits a byte, the highest first; all but the last have the eighth bit set."""
    found = [value & 127]
    while value := value >> 7:
        found.append(128 | value & 127)
    return bytes(reversed(found))


def _events(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Step, kind (of a meta event its type) and data of each event of a file as `write` makes it.

    Raises:
        ValueError: it is another kind of MIDI file, or is cut off.
    """
    start = len(HEADER) + 2
    size = int.from_bytes(content[start + 4 : start + 8], "big")
    if content[:start] != HEADER + STEPS_PER_BEAT.to_bytes(2, "big"):
        raise ValueError("it is no MIDI file of one track in sixteenth notes")
    if content[start : start + 4] != TRACK or len(content) != start + 8 + size:
        raise ValueError("its track is cut off")
    rest, now = memoryview(content)[start + 8 :], 0

    def number() -> int:
        nonlocal rest
        value = 0
        for at, byte in enumerate(rest):
            value = value << 7 | byte & 127
            if byte < 128:
                rest = rest[at + 1 :]
                return value
        raise ValueError("its track is cut off")

    while True:
        now += number()
        kind, rest = rest[0], rest[1:]
        if kind != TEXT[0]:
            yield now, kind, bytes(rest[:2])
            rest = rest[2:]
            continue
        kind, rest = rest[0], rest[1:]
        length = number()
        yield now, kind, bytes(rest[:length])
        rest = rest[length:]
        if kind == END[1]:
            return
