"""Training samples from files: read, brought to a legal size, encoded, kept in the pool.

Every epoch goes through the items in an order of its own, which follows from the seed. A data set
that fits in the pool is encoded once; a larger one once per epoch. An item that cannot be used is
left out, never replaced in silence: the quarantine file names it with the reason.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lumina_core.data.listing import Item, Listing, list_media
from lumina_core.data.manifests import list_manifest
from lumina_core.data.pool import LatentPool, encode_sample
from lumina_core.data.reading import decoded
from lumina_core.data.settings import CachedConfig, FilesConfig
from lumina_core.data.source import CaptionedSample
from lumina_core.errors import LuminaError
from lumina_core.files.reading import json_lines
from lumina_core.files.writing import atomic_write
from lumina_core.modality import Decoder, Modality
from lumina_core.parallel import ranks
from lumina_core.runtime import seeded
from lumina_core.terminal import tell

QUARANTINE = "quarantine.jsonl"  # in the folder of a training run
HELD_STREAM = 2**40  # of random numbers from the pool's seed; epochs have the numbers below
NUM_JUDGED = 100  # items, or all if there are fewer, that a share of broken ones is a share of


def list_data(config: FilesConfig, decoder: Decoder) -> Listing:
    """The items of a data set.

    Args:
        config: which.
        decoder: of the modality; says which files it reads.

    Raises:
        LuminaError: no path is given, nothing is there, or nothing that can be used.
    """
    if config.path is None:
        wanted = "FOLDER" if config.name == "folder" else "FILE.jsonl"
        raise LuminaError(f"data={config.name} needs to know where: data.path={wanted}")
    path = Path(config.path)
    listing = list_media(path, decoder) if config.name == "folder" else list_manifest(path)
    if not listing.items:
        name, reason = next(iter(listing.skipped.items()))
        raise LuminaError(
            f"data.path={path}: none of its {len(listing.skipped)} items can be used; the first "
            f"is {name}: {reason}"
        )
    return listing


class Wanted(NamedTuple):
    """What a training run wants of the samples from files."""

    modality: str
    options: Any
    """Of the modality, where a file does not say otherwise."""
    token_budget: int
    """Positions that a sample has at most, separators included."""
    separators: bool
    num_held: int
    """Items that are never trained on, but measured."""
    quarantine: Path
    """The file that names what is left out."""


class FilePool(LatentPool):
    """The newest items of a data set, epoch after epoch; None stands for one left out."""

    def __init__(
        self,
        wanted: Wanted,
        data: FilesConfig | CachedConfig,
        modality: Modality,
        seed: int,
        listing: Listing | None = None,
    ) -> None:
        """List the items, and set some of them aside.

        Args:
            wanted: what the run wants of them.
            data: which they are.
            modality: reads and encodes them.
            seed: of the order of each epoch, and of what is set aside.
            listing: of the items; None: it is made.

        Raises:
            LuminaError: there are none, or too few.
        """
        if listing is None:
            assert isinstance(data, FilesConfig)
            listing = list_data(data, modality.decoder)
        trained, held = _split(listing.items, wanted.num_held, seed)
        num_items = len(trained)
        fits = num_items <= data.pool_size
        refresh = 0 if fits else data.refresh_per_step
        size, separators = min(num_items, data.pool_size), wanted.separators
        super().__init__(size, refresh, data.pool_start, seed=seed, separators=separators)
        self._items, self._held, self._skipped = trained, held, listing.skipped
        self._lone_texts = listing.lone_texts
        self._wanted, self._data, self._modality = wanted, data, modality
        self._num_tried = self._num_broken = 0
        self._quarantine = Quarantine(wanted.quarantine)
        self._num_recorded = 0
        self._order = lru_cache(maxsize=2)(self._epoch)

    def restore(self, stored: Mapping[str, Any]) -> None:
        """As in LatentPool; what was left out after the checkpoint is found again."""
        super().restore(stored)
        self._num_recorded = stored["num_quarantined"]

    @property
    def lasting_captions(self) -> list[str]:
        """Those of all items, if the pool comes to hold them all; else none."""
        return [] if self._refresh else [item.caption for item in self._items]

    def advance(self, step: int) -> None:
        """As in LatentPool; the first call also writes down what the listing left out.

        Raises:
            LuminaError: too many items cannot be used.
        """
        is_first = not self._num_tried
        if is_first:
            self._quarantine.open(self._num_recorded)
            for name, reason in (self._lone_texts | self._skipped).items():
                self._quarantine.add(name, reason)
            self._check_share()
        super().advance(step)
        if is_first and self._quarantine.names:
            tell(
                f"warning: {len(self._quarantine.names)} items of {self._data.path} are left out "
                f"so far; {self._quarantine.path} says why"
            )

    def draw(self, number: int) -> CaptionedSample | None:
        """Read and encode item `number` of the stream; None where it is left out."""
        epoch, place = divmod(number, len(self._items))
        return self._read(self._items[self._order(epoch)[place]])

    def collect(self) -> None:
        """Let rank 0 write down what others left out."""
        self._quarantine.collect()

    def held_out(self, number: int) -> CaptionedSample | None:
        """Read and encode one of the items that were set aside; None where it is left out."""
        return self._read(self._held[number])

    def _read(self, item: Item) -> CaptionedSample | None:
        self._num_tried += 1
        try:
            return self._encoded(item)
        except LuminaError as error:
            self._leave_out(item, str(error))
            return None

    def _leave_out(self, item: Item, reason: str) -> None:
        self._num_broken += 1
        self._quarantine.add(item.name, reason)
        self._check_share()

    def captions(self, count: int, generator: torch.Generator) -> list[str]:
        """Captions of different items."""
        order = torch.randperm(len(self._items), generator=generator)[:count]
        return [self._items[index].caption for index in order.tolist()]

    def vocabulary_captions(self, generator: torch.Generator) -> list[str]:
        """Those of all items."""
        return [item.caption for item in self._items]

    def variants(self) -> Sequence[Mapping[str, Any]]:
        """One: the options of the run are the size of its samples."""
        return [{}]

    def summary(self) -> dict[str, Any]:
        """The configuration without its path, and how much there was."""
        settings = {key: value for key, value in asdict(self._data).items() if key != "path"}
        num_quarantined = len(self._quarantine.names)
        told = [[item.name, item.caption] for item in (*self._items, *self._held)]
        listed = {
            "num_items": len(self._items),
            "num_held": len(self._held),
            "listing_sha256": sha256(json.dumps(told).encode()).hexdigest(),
            "num_quarantined": num_quarantined,
        }
        return self._known(settings | listed)

    def _epoch(self, epoch: int) -> list[int]:
        return torch.randperm(len(self._items), generator=seeded(self._seed, epoch)).tolist()

    def _encoded(self, item: Item) -> CaptionedSample:
        modality, budget = self._modality, self._wanted.token_budget
        assert isinstance(self._data, FilesConfig)
        found = decoded(modality, item.path, self._wanted.options, self._data.limits)
        sample = encode_sample(self._wanted.modality, modality, *found, item.caption)
        length = sample.tokens.grid.num_positions(self._wanted.separators)
        if length > budget:
            raise LuminaError(f"its {length} positions are more than token_budget={budget}")
        return sample

    def _check_share(self) -> None:
        """Stop where too much is left out: of the whole listing, and of the files read so far."""
        num_listed = len(self._items) + len(self._held)
        unlisted = len(self._skipped) / (len(self._skipped) + num_listed)
        judged = max(self._num_tried, min(num_listed, NUM_JUDGED))
        share = unlisted + (1 - unlisted) * self._num_broken / judged
        if share > self._data.max_quarantined:
            advice = (
                "Replace them under the same names (a resumed run needs as many items as it began "
                "with)"
            )
            raise too_many(
                share, self._data, self._quarantine.newest, self._quarantine.path, advice
            )


def _split(items: Sequence[Item], num_held: int, seed: int) -> tuple[list[Item], list[Item]]:
    """The items to train on, and those of the files set aside to validate on.

    Raises:
        LuminaError: nothing is left to train on.
    """
    names = list(dict.fromkeys(item.name for item in items))  # several captions may tell of a file
    if num_held >= len(names):
        raise LuminaError(
            f"num_validation_samples={num_held} are set aside, and data.path has {len(names)} "
            "files; set a smaller number, so that some are left to train on"
        )
    order = torch.randperm(len(names), generator=seeded(seed, HELD_STREAM)).tolist()
    held = {names[index] for index in order[:num_held]}
    return [i for i in items if i.name not in held], [i for i in items if i.name in held]


def too_many(
    share: float,
    data: FilesConfig | CachedConfig,
    one: tuple[str, str],
    path: Path,
    advice: str,
) -> LuminaError:
    """The refusal of data of which too much cannot be used.

    Args:
        share: of the items that cannot be used.
        data: says how much is too much.
        one: name of such an item, and the reason.
        path: of the quarantine.
        advice: what to do.
    """
    name, reason = one
    return LuminaError(
        f"{share:.0%} of the items of data.path={data.path} cannot be used, more than "
        f"data.max_quarantined={data.max_quarantined}; one is {name}: {reason}; {path} names the "
        f"others. {advice}, or allow more"
    )


class Quarantine:
    """A file of JSON lines that names each item left out, once, with the reason.

    Of many ranks the first one writes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names: set[str] = set()
        self.newest = ("", "")
        self._untold: list[tuple[str, str]] = []

    def open(self, num_kept: int) -> None:
        """Begin anew, or go on after what an earlier part of the run left out.

        Args:
            num_kept: so many names, the first.

        Raises:
            LuminaError: the file of an earlier run cannot be read or replaced.
        """
        if ranks.rank() > 0:
            return
        kept = {}
        for line, entry in json_lines(self.path) if num_kept else []:
            name = entry.get("path") if isinstance(entry, dict) else None
            if isinstance(name, str):
                kept[name] = line
        kept = dict(list(kept.items())[:num_kept])
        self.names = set(kept)
        if kept:
            with atomic_write(self.path) as file:
                file.write("".join(f"{line}\n" for line in kept.values()).encode())
            return
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise LuminaError(f"{self.path} cannot be replaced: {error.strerror}") from error

    def add(self, name: str, reason: str) -> None:
        """Write down an item, unless it is there already.

        Raises:
            LuminaError: as `atomic_write`.
        """
        self.newest = (name, reason)
        if name in self.names:
            return
        self.names.add(name)
        if ranks.rank() > 0:
            self._untold.append((name, reason))
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"path": name, "reason": reason}) + "\n")
        except OSError as error:
            raise LuminaError(f"{self.path} cannot be written: {error.strerror}") from error

    def collect(self) -> None:
        """Let rank 0 write down what the others met; every rank calls it.

        Raises:
            LuminaError: as `add`.
        """
        if ranks.any_rank(bool(self._untold)):
            met = ranks.gathered(self._untold)
            self._untold.clear()
            for name, reason in chain.from_iterable(met) if ranks.rank() == 0 else ():
                self.add(name, reason)
