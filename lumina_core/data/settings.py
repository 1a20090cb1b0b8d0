"""Where samples come from: the records. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from lumina_core.errors import LuminaError
from lumina_core.modality import SizeLimits
from lumina_core.records import Settings, block, setting

FOLDER, MANIFEST, SHARDS = "folder", "manifest", "shards"
"""Kinds of data that lie in files."""
STREAMED = {"stream": (True,), "name": (SHARDS,)}
"""What has no pool."""
MAX_WORKERS = 256
WINDOW = 65536


@dataclass(frozen=True)
class PoolConfig(Settings, block="data"):
    """The samples that are kept encoded."""

    pool_size: int = setting(2048, "samples kept encoded", at_least=1, idle=STREAMED)
    pool_start: int = setting(
        64,
        "of them encoded before the first step; a quarter as many are added per step",
        at_least=1,
        idle=STREAMED,
    )
    refresh_per_step: int = setting(
        4,
        "samples encoded anew at each step; none where the pool holds all files",
        at_least=0,
        idle=STREAMED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.refresh_per_step > self.pool_size:
            raise LuminaError(
                f"data.pool_size={self.pool_size} and data.refresh_per_step="
                f"{self.refresh_per_step}: refresh at most the whole pool"
            )

    @property
    def is_stream(self) -> bool:
        """Whether there is no pool, and items come in the order of an index."""
        return False


@dataclass(frozen=True)
class SyntheticConfig(PoolConfig):
    """Samples drawn by the world of the modality."""

    name: str = setting("synthetic", "whence samples come", choices=("synthetic",))
    max_tokens: int | None = setting(
        None, "leave out sizes and lengths of more tokens than this; null: none", at_least=1
    )


@dataclass(frozen=True)
class FileLimits(Settings, block="data"):
    """Which files of a data set are used, and at which size."""

    path: str | None = setting(
        None,
        "the folder, a .jsonl, .json or .parquet file or a .yaml list of such; of shards the "
        "folder, one or a pattern; of caches one, or a folder that holds several",
        file=True,
    )
    index: str | None = setting(
        None, "what the command `index` makes; null: beside data.path", file=True
    )
    min_tokens: int = setting(
        16, "smaller files are left out, judged before long ones are scaled down", at_least=1
    )
    max_tokens: int = setting(256, "larger files are scaled down to this many tokens", at_least=1)
    max_aspect: float = setting(
        4.0, "files longer than this in relation to their width are left out", at_least=1
    )
    max_quarantined: float = setting(
        0.1, "share of files left out, above which the run ends", at_least=0, at_most=1
    )
    num_workers: int = setting(
        2,
        "of a stream and of index: processes that read and decode; 0: none beside this one",
        at_least=0,
        at_most=MAX_WORKERS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_tokens > self.max_tokens:
            raise LuminaError(
                f"data.min_tokens={self.min_tokens} and data.max_tokens={self.max_tokens}: use a "
                "maximum that is no smaller"
            )

    @property
    def limits(self) -> SizeLimits:
        """What the plugin is told about sizes."""
        return SizeLimits(self.min_tokens, self.max_tokens, self.max_aspect)


@dataclass(frozen=True)
class IndexedConfig(FileLimits):
    """Data that the command `index` looks at."""

    name: str = setting(SHARDS, "what data.path is", choices=(SHARDS, FOLDER, MANIFEST))


@dataclass(frozen=True)
class FilesConfig(PoolConfig, FileLimits):
    """A folder, a manifest or shards, and which of their files are used.

    Captions stand in .txt beside the files of a folder, or in metadata.jsonl or .csv.
    """

    name: str = setting(FOLDER, "whence samples come", choices=(FOLDER, MANIFEST, SHARDS))
    stream: bool = setting(
        False,
        "go through all items in the order of an index instead of keeping a pool; shards always do",
        idle={"name": (SHARDS,)},
    )
    shuffle_window: int = setting(
        WINDOW, "of a stream: items among which its order is random", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_stream:
            return
        for key, default in (("index", None), ("shuffle_window", WINDOW)):
            if getattr(self, key) != default:
                raise LuminaError(
                    f"data.{key}={getattr(self, key)} has no effect on a pool; add data.stream=true"
                )

    @property
    def is_stream(self) -> bool:
        """As in PoolConfig."""
        return self.stream or self.name == SHARDS


@dataclass(frozen=True)
class IndexConfig(Settings):
    """What `index` looks at."""

    modality: str = ""
    options: Any = None
    data: IndexedConfig = block(IndexedConfig, SHARDS, folder=IndexedConfig, manifest=IndexedConfig)
    overwrite: bool = setting(False, "replace an index that exists")
    download: bool = setting(False, "fetch models that are named by a hub id and are not there yet")


@dataclass(frozen=True)
class CachedConfig(PoolConfig):
    """What `cache` encoded ahead."""

    name: str = setting("cache", "whence samples come", choices=("cache",))
    path: str | None = setting(
        None, "what `cache` made, or a folder that holds several of these", file=True
    )
    max_quarantined: float = setting(
        0.1, "share of samples left out, above which the run ends", at_least=0, at_most=1
    )
    shuffle_window: int = setting(
        WINDOW, "of a stream: items among which its order is random", at_least=1
    )
