"""What `train-vae` and `cache` are asked for: the records. Imports no torch."""

from dataclasses import dataclass
from typing import Any

from lumina_core.data.settings import FilesConfig, SyntheticConfig
from lumina_core.errors import LuminaError
from lumina_core.records import DTYPE_NAMES, NUM_SEEDS, Settings, block, setting
from lumina_core.text.settings import TextEncoderConfig


@dataclass(frozen=True)
class TrainVAEConfig(Settings):
    """How the small autoencoder of a modality is trained on its world."""

    modality: str = ""
    options: Any = None
    out: str = setting(None, "folder of the autoencoder; null: outputs/<modality>-vae", file=True)
    overwrite: bool = setting(False, "replace a folder that exists")
    init_from: str | None = setting(
        None, "folder of an autoencoder to start from; its architecture stays", file=True
    )
    decoder_only: bool = setting(
        False,
        "leave the encoder as it is, so that latents keep their meaning; with init_from",
    )
    max_steps: int = setting(1700, "optimizer steps", at_least=1)
    batch_size: int = setting(8, "samples per step", at_least=1)
    seed: int = setting(0, "of weights and data", at_least=0, at_most=NUM_SEEDS - 1)
    num_threads: int | None = setting(None, "CPU threads; null: torch decides", at_least=1)
    dtype: str = setting(
        "float32",
        "of its computing; bfloat16 is faster where the processor has instructions for it",
        choices=DTYPE_NAMES[:2],
    )
    learning_rate: float = setting(0.002, "of AdamW", above=0)
    edge_weight: float = setting(
        0.0,
        "how much more pixels at edges count, those of faint ones most; 4 keeps small shapes on "
        "backgrounds of nearly their colour",
        at_least=0,
    )
    latent_channels: int = setting(4, "channels of the latent", at_least=1)
    block_channels: tuple[int, ...] = setting(
        (16, 32, 64), "width at each resolution; each after the first halves the size", at_least=1
    )
    layers_per_block: int = setting(1, "residual layers at each resolution", at_least=1)
    log_every: int = setting(50, "steps between lines of the log", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.block_channels:
            raise LuminaError(
                "block_channels is []; give one width per resolution, such as [32,64]."
            )
        if self.decoder_only and self.init_from is None:
            raise LuminaError(
                "decoder_only=true keeps an encoder, and there is none; give init_from=FOLDER"
            )


@dataclass(frozen=True)
class CacheConfig(Settings):
    """What is encoded ahead, and how it is stored."""

    modality: str = ""
    options: Any = None
    out: str = setting(None, "folder of the cache; null: outputs/<modality>-cache", file=True)
    overwrite: bool = setting(False, "encode anew what was encoded there with other settings")
    num_samples: int | None = setting(None, "samples to draw of a synthetic world", at_least=1)
    seed: int = setting(
        0,
        "of the samples of a synthetic world; the same give those of `train`",
        at_least=0,
        at_most=NUM_SEEDS - 1,
    )
    store_dtype: str = setting("float32", "of the stored latents", choices=DTYPE_NAMES[:2])
    shard_megabytes: float = setting(
        64.0, "size of a file; a killed `cache` loses what was encoded for one", above=0
    )
    download: bool = setting(False, "fetch models that are named by a hub id and are not there yet")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1")
    num_threads: int | None = setting(None, "CPU threads; null: torch decides", at_least=1)
    text_encoder: TextEncoderConfig = block(TextEncoderConfig, "tiny")
    data: SyntheticConfig | FilesConfig = block(
        SyntheticConfig, "synthetic", folder=FilesConfig, manifest=FilesConfig, shards=FilesConfig
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, unset in (("num_samples", None), ("seed", 0)):
            if getattr(self, key) != unset and not isinstance(self.data, SyntheticConfig):
                raise LuminaError(
                    f"{key}={getattr(self, key)} is for samples of a world; leave it out, for "
                    f"data={self.data.name} is encoded as a whole"
                )
