"""Rules about a decoder: media to files and back."""

import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lumina_core.errors import LuminaError, reason_of
from lumina_core.files.unfinished import UNFINISHED
from lumina_core.modality import Decoder
from lumina_core.runtime import seeded
from lumina_core.testing.clock import clock_ahead
from lumina_core.testing.mishaps import interrupted, interrupted_at, largest_file, lines_reached
from lumina_core.testing.refusal import refusal
from lumina_core.testing.rules import rule
from lumina_core.testing.samples import Sample, medium
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import BrokenRuleError, NotApplicableError, demand

MAX_LOSS = 0.05  # mean difference of a file that is read back, as a share of the media's range
HARD_TEXTS = 'ein "Würfel"\n\t\\ 立方体 \u2028 🎲 </script> --> ' + "long " * 400
NUM_INTERRUPTS = 10
NUM_NOISE_BYTES = 3000
DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut near its end": lambda content: content[: -max(len(content) // 10, 20)],
    "noise": lambda content: random.Random(5).randbytes(NUM_NOISE_BYTES),
}
MAX_PREVIEW_SIDE = 4096
NUM_MORE = 8  # media that are written, beside one of each size
NUM_PREVIEWS = 8  # of media of one size
MAX_LINES = 24  # of the plugin that are interrupted, one in each run
DAY_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d %b %Y", "%b %d, %Y")
STRANGE = ".strange"
READING = (
    "raise LuminaError; lumina_core.media.containers.reading turns what libraries raise into it"
)


@rule
def suffixes_are_declared(subject: Subject) -> None:
    """`suffixes` is a tuple of lower-case suffixes with their dots, the usual one first."""
    suffixes = subject.modality.decoder.suffixes
    is_fit = isinstance(suffixes, tuple) and suffixes
    demand(
        is_fit and all(isinstance(s, str) and s == s.lower() and s[:1] == "." for s in suffixes),
        f"suffixes is {suffixes!r}",
        'write a tuple such as (".png",)',
    )


@rule
def files_hold_the_media(subject: Subject) -> None:
    """Each kind of file, read back, holds the media within its tolerance; one of them, exactly."""
    lossy = set()
    _readable(subject)
    values = [one.media.double() for one in subject.samples]
    span = (max(one.max() for one in values) - min(one.min() for one in values)).item() or 1.0
    first = subject.kinds()[0][0]
    more = [(first, sample) for sample in subject.drawn(NUM_MORE)]
    for suffix, sample in (*subject.kinds(every=True), *more):
        back = subject.modality.decoder.read(subject.written(suffix, sample))
        demand(
            back.shape == sample.media.shape and back.dtype == sample.media.dtype,
            f"a {suffix} of {sample.media.dtype} {tuple(sample.media.shape)} is read back as "
            f"{back.dtype} {tuple(back.shape)}",
            "write and read all of the media, at their size, rate and dtype",
        )
        loss = (back.double() - sample.media.double()).abs().mean().item() / span
        demand(
            loss <= MAX_LOSS,
            f"a {suffix} read back differs by {100 * loss:.1f} % of the range",
            "write it with less loss",
        )
        if not torch.equal(back, sample.media):
            lossy.add(suffix)
    exact = {suffix for suffix, _ in subject.kinds()} - lossy
    demand(exact, "no kind of file keeps the media exactly", "offer one without loss")


@rule
def nothing_else_is_written(subject: Subject) -> None:
    """`write` makes the file it was asked for, and leaves nothing beside it or among temporary
    files.
    """
    for suffix, sample in subject.kinds(is_read=False):
        folder = subject.new_folder()
        with _temporary_files(subject.new_folder()) as temporary:
            path = subject.written(suffix, sample, folder, "sample 1.5")
            if path.is_file():
                subject.written(suffix, sample, folder, "sample 1.5")  # the same file once more
        found = sorted(each.name for each in (*folder.iterdir(), *temporary.iterdir()))
        demand(
            found == [path.name],
            f"{suffix}: asked for {path.name}, there are {found}",
            "write there and nowhere else; previews are written by the core",
        )
        demand(
            path.is_dir() == (suffix in subject.modality.decoder.folder_suffixes),
            f"{suffix} is {'a folder' if path.is_dir() else 'a file'}",
            "name suffixes of folders in folder_suffixes",
        )


@rule
def request_survives(subject: Subject) -> None:
    """The request in a file comes back equal, whatever characters it holds, and after a move."""
    decoder = subject.modality.decoder
    for suffix, sample in subject.kinds(is_read=False):
        metadata = subject.request(sample, prompt=HARD_TEXTS, nested={"list": [1, 2.5, None, True]})
        path = subject.new_folder() / f"one{suffix}"
        decoder.write(sample.media, path, metadata, sample.options)
        moved = path.rename(path.with_name(f"another name{suffix}"))
        found = decoder.read_metadata(moved)
        demand(
            found == metadata,
            f"the request in a {suffix} comes back as {str(found)[:80]}",
            "store it as JSON in ASCII inside the file",
        )


@rule
def equal_requests_make_equal_files(subject: Subject) -> None:
    """The same media and request give the same bytes: no date, no random number, no path."""
    for suffix, sample in subject.kinds(is_read=False):
        first = _bytes(subject.written(suffix, sample))
        with clock_ahead():
            second = _bytes(subject.written(suffix, sample, stem="another"))
        demand(
            sorted(first.values()) == sorted(second.values()),
            f"two {suffix} of the same media differ",
            "leave out dates, paths and random identifiers",
        )
        days = {time.strftime(form) for form in DAY_FORMATS}
        told = {day for day in days for content in first.values() if day.encode() in content}
        demand(not told, f"a {suffix} names the day {told}", "leave it out")


@rule
def full_disk_leaves_nothing(subject: Subject) -> None:
    """Where a file cannot be written to its end, an error is raised and nothing is left behind."""
    for suffix, sample in subject.kinds(is_read=False):
        sizes = [len(content) for content in _bytes(subject.written(suffix, sample)).values()]
        folder = subject.new_folder()
        demand(
            _fails_on_full_disk(subject, suffix, sample, folder, max(sizes) // 2),
            f"a {suffix} that did not fit raised nothing",
            "let OSError through",
        )
        left = sorted(path.name for path in folder.iterdir())
        demand(
            not left,
            f"a {suffix} that did not fit leaves {left}",
            "write through lumina_core.atomic_write or atomic_folder",
        )


@rule
def interruption_leaves_no_half_file(subject: Subject) -> None:
    """Whenever `write` is interrupted, the file is whole or not there."""
    if threading.current_thread() is not threading.main_thread():
        raise NotApplicableError("only the main thread can be interrupted")
    for suffix, sample in subject.kinds(is_read=False):
        started = time.perf_counter()
        whole = _bytes(subject.written(suffix, sample))
        usual = time.perf_counter() - started
        for number in range(NUM_INTERRUPTS):
            folder = subject.new_folder()
            moment = max(usual * (number + 0.5) / NUM_INTERRUPTS, 1e-5)
            interrupted(partial(subject.written, suffix, sample, folder), moment)
            _whole_or_not_there(folder / f"sample{suffix}", whole)
        lines = lines_reached(partial(subject.written, suffix, sample), subject.source)
        for place in lines[:: -(-len(lines) // MAX_LINES) or 1]:
            folder = subject.new_folder()
            with interrupted_at(place):
                subject.written(suffix, sample, folder)
            _whole_or_not_there(folder / f"sample{suffix}", whole)


@rule
def existing_files_are_replaced_whole(subject: Subject) -> None:
    """Where writing over a file fails, the file that was there stays as it was."""
    for suffix, sample in subject.kinds(is_read=False):
        if suffix in subject.modality.decoder.folder_suffixes:
            continue  # the core gives every folder a new name first
        path = subject.written(suffix, sample)
        before = path.read_bytes()
        _fails_on_full_disk(subject, suffix, sample, path.parent, len(before) // 2)
        demand(
            path.is_file() and path.read_bytes() == before,
            f"writing over a {suffix} on a full disk destroys it",
            "write through lumina_core.atomic_write",
        )


@rule
def broken_files_are_refused(subject: Subject) -> None:
    """A file that is missing, empty, cut off or no such file at all is refused by a LuminaError, or
    by `read_metadata` taken for one without a request.
    """
    decoder = subject.modality.decoder
    for suffix, sample in subject.kinds(is_read=False):
        is_read = suffix in decoder.read_suffixes
        path = subject.written(suffix, sample)
        files = [path] if path.is_file() else sorted(path.iterdir())
        for what, damage in DAMAGE.items():
            kept = {file: file.read_bytes() for file in files}
            for file, content in kept.items():
                file.write_bytes(damage(content))
            if is_read:
                refusal(partial(decoder.read, path), f"reading a {suffix} that is {what}", READING)
            _request_or_refused(decoder, path, f"the request of a {suffix} that is {what}")
            for file, content in kept.items():
                file.write_bytes(content)
        missing = path.with_name(f"missing{suffix}")
        for call in (decoder.read, decoder.read_metadata) if is_read else (decoder.read_metadata,):
            refusal(partial(call, missing), f"{call.__name__} of a missing {suffix}", READING)


@rule
def foreign_suffixes_are_refused(subject: Subject) -> None:
    """A file with a suffix that is not among `suffixes` is refused, and nothing is written."""
    sample, folder = subject.samples[0], subject.new_folder()
    path = folder / f"sample{STRANGE}"
    refusal(
        partial(subject.modality.decoder.write, sample.media, path, {}, sample.options),
        f"writing a {STRANGE}",
        "raise LuminaError with the suffixes that there are",
    )
    demand(not list(folder.iterdir()), f"a {STRANGE} was written", "check the suffix first")


@rule
def writing_leaves_the_media_alone(subject: Subject) -> None:
    """Neither `write` nor `preview` changes the media or the request."""
    for suffix, sample in subject.kinds(is_read=False, every=True):
        media, metadata = sample.media.clone(), subject.request(sample)
        kept = subject.request(sample)
        path, decoder = subject.new_folder() / f"one{suffix}", subject.modality.decoder
        decoder.write(media, path, metadata, sample.options)
        decoder.preview(media, sample.options)
        demand(
            torch.equal(media, sample.media) and metadata == kept,
            f"writing a {suffix} or its preview changes what it was given",
            "work on a copy",
        )


@rule
def preview_is_a_picture(subject: Subject) -> None:
    """`preview` gives an RGB picture, uint8 (3, height, width), another one for other media."""
    for sample in subject.samples:
        picture = subject.modality.decoder.preview(sample.media, sample.options)
        shape = tuple(picture.shape)
        is_picture = picture.dtype == torch.uint8 and len(shape) == 3 and shape[0] == 3
        demand(
            is_picture and min(shape[1:]) >= 1 and max(shape[1:]) <= MAX_PREVIEW_SIDE,
            f"a preview is {picture.dtype} {shape}",
            f"give uint8 (3, height, width), no side above {MAX_PREVIEW_SIDE}",
        )
    options = subject.samples[0].options
    media = [medium(subject.modality, options, seeded(n))[1] for n in range(NUM_PREVIEWS)]
    first, *others = [subject.modality.decoder.preview(one, options) for one in media]
    differing = max(int((first != other).any(dim=0).sum()) for other in others)
    demand(
        differing >= max(first.shape[1:]) // 2,
        f"previews of {NUM_PREVIEWS} media differ in {differing} pixels",
        "let it show what the media show",
    )


@rule
def preview_flag_is_a_boolean(subject: Subject) -> None:
    """`has_preview_file` is true or false."""
    found = subject.modality.decoder.has_preview_file
    demand(isinstance(found, bool), f"has_preview_file is {found!r}", "write True or False")


def _readable(subject: Subject) -> list[tuple[str, Any]]:
    found = subject.kinds()
    demand(
        found,
        f"none of {', '.join(subject.modality.decoder.suffixes)} can be read back "
        f"({', '.join(subject.modality.decoder.read_suffixes)} can)",
        "read what you write: repeat= and training on files need it",
    )
    return found


def _bytes(path: Path) -> dict[str, bytes]:
    """The content of a file, or of each file of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def _request_or_refused(decoder: Decoder, path: Path, what: str) -> None:
    try:
        found = decoder.read_metadata(path)
    except LuminaError:
        return
    except Exception as error:
        raise BrokenRuleError(
            f"{what} raises {type(error).__name__}: {reason_of(error)}; {READING}"
        ) from error
    demand(found is None or isinstance(found, dict), f"{what} is {found!r}"[:80], READING)


@contextmanager
def _temporary_files(folder: Path) -> Iterator[Path]:
    """Within the block `tempfile` puts everything into a folder."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before


def _fails_on_full_disk(
    subject: Subject, suffix: str, sample: Sample, folder: Path, size: int
) -> bool:
    """Whether writing is refused where no file grows beyond a size."""
    try:
        with largest_file(size):
            subject.written(suffix, sample, folder)
    except (LuminaError, OSError):
        return True
    except Exception as error:
        raise BrokenRuleError(
            f"a {suffix} that did not fit raises {type(error).__name__}: {reason_of(error)}; let "
            "OSError through, or raise LuminaError; lumina_core.media.containers.writing does"
        ) from error
    return False


def _whole_or_not_there(path: Path, whole: dict[str, bytes]) -> None:
    advice = "write through lumina_core.atomic_write or atomic_folder"
    demand(
        not path.exists() or _bytes(path) == whole,
        f"a {path.suffix} that was interrupted is there and not whole",
        advice,
    )
    left = [each.name for each in path.parent.iterdir() if each != path]
    demand(
        all(name.startswith(UNFINISHED) for name in left),
        f"a {path.suffix} that was interrupted leaves {left}",
        advice,
    )
