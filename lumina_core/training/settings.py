"""What `train` and `train-vae` are asked for: the records. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, _check_at_least, _check_seed, setting

if TYPE_CHECKING:
    from lumina_core.backbone.settings import FlagDiTConfig
    from lumina_core.data.settings import FilesConfig, SyntheticConfig
    from lumina_core.flow.settings import TimeConfig
    from lumina_core.text.settings import TextEncoderConfig


MAX_JITTER = 2.0  # seven times larger or smaller: positions of another picture


@dataclass(frozen=True)
class TrainConfig:
    """What `train` trains, on what and for how long."""

    modality: str
    options: Any
    out: str
    overwrite: bool
    resume: bool
    init_from: str | None
    """A checkpoint folder or `demo`, whose weights a new run starts with."""
    max_steps: int
    token_budget: int
    gradient_accumulation: int
    """Batches whose samples together make the loss of a step."""
    seed: int
    download: bool
    device: str
    dtype: str
    attention: str
    save_dtype: str
    """Of the stored weights; the training state keeps float32."""
    num_threads: int | None
    backbone: FlagDiTConfig
    """Without token_dims and feature_dims: these follow from the modality."""
    text_encoder: TextEncoderConfig
    optimizer: OptimizerConfig
    time: TimeConfig
    caption_dropout: float
    condition_share: float
    position_jitter: float
    data: SyntheticConfig | FilesConfig
    log_every: int
    sample_every: int
    save_every: int
    num_sample_prompts: int
    validate_every: int
    num_validation_samples: int
    validation_times: tuple[float, ...]
    evaluate_every: int
    num_evaluation_prompts: int
    max_nonfinite_steps: int
    """Skipped steps in a row after which a run gives up."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "max_steps", "token_budget", "num_threads", "log_every")
        _check_at_least(self, 1, "gradient_accumulation", "max_nonfinite_steps")
        _check_at_least(self, 1, "num_validation_samples", "num_evaluation_prompts")
        _check_at_least(self, 0, "sample_every", "save_every", "num_sample_prompts")
        _check_at_least(self, 0, "validate_every", "evaluate_every")
        times = self.validation_times
        if not times or not all(0 <= t <= 1 for t in times) or len(set(times)) < len(times):
            raise LuminaError(
                f"validation_times is {list(times)}; give different times in [0, 1], such as "
                "[0.1,0.5,0.9]."
            )
        _check_seed(self.seed)
        for key in ("caption_dropout", "condition_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise LuminaError(f"{key} is {getattr(self, key)}; set a share in [0, 1].")
        if not 0 <= self.position_jitter <= MAX_JITTER:
            raise LuminaError(
                f"position_jitter is {self.position_jitter}; set a number from 0 (none) to "
                f"{MAX_JITTER:g}."
            )
        if self.resume and self.overwrite:
            raise LuminaError("resume goes on in a folder, overwrite replaces it. Set one of them.")


@dataclass(frozen=True)
class TrainVAEConfig:
    """How the small autoencoder of a modality is trained on its world."""

    modality: str
    options: Any
    out: str
    overwrite: bool
    init_from: str | None
    """An autoencoder to start from; block_channels and its like are not used then."""
    decoder_only: bool
    max_steps: int
    batch_size: int
    seed: int
    num_threads: int | None
    learning_rate: float
    latent_channels: int
    block_channels: tuple[int, ...]
    """Width at each resolution; each after the first halves the size."""
    layers_per_block: int
    log_every: int

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "max_steps", "batch_size", "num_threads", "log_every")
        _check_at_least(self, 1, "latent_channels", "layers_per_block")
        _check_seed(self.seed)
        if not self.block_channels or min(self.block_channels) < 1:
            raise LuminaError(
                f"block_channels is {list(self.block_channels)}; give one width of 1 or more per "
                "resolution, such as [32,64]."
            )
        if self.decoder_only and self.init_from is None:
            raise LuminaError(
                "decoder_only=true keeps an encoder, and there is none; give init_from=FOLDER"
            )
        if not self.learning_rate > 0:
            raise LuminaError(f"learning_rate is {self.learning_rate}; set a number above 0.")


OPTIMIZERS = ("adamw", "muon")


@dataclass(frozen=True)
class OptimizerConfig(Settings, block="optimizer"):
    """How weights are updated."""

    name: str = setting(
        "adamw",
        "AdamW for every weight, or Muon for the matrices of attention and feed-forward layers",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.001, "peak of AdamW", above=0)
    muon_learning_rate: float = setting(0.02, "peak of Muon", above=0, idle={"name": ("adamw",)})
    betas: tuple[float, float] = setting(
        (0.9, 0.98), "of AdamW: decay of the first and the second moment", at_least=0, below=1
    )
    weight_decay: float = setting(0.0, "on matrices", at_least=0)
    warmup_steps: int = setting(100, "steps of linear rise to the peak", at_least=0)
    decay_share: float = setting(
        0.3,
        "last share of the steps, in which the rate falls linearly to zero",
        at_least=0,
        at_most=1,
    )
    clip_norm: float = setting(1.0, "largest norm of the gradient", above=0)
    ema_decay: float = setting(
        0.998, "of the averaged weights that are saved", at_least=0, at_most=1
    )
    """Early on it is (1 + step) / (10 + step)."""

    def rate_at(self, step: int, max_steps: int) -> float:
        """Share of the peak rate at a step, counted from 0."""
        rise = (step + 1) / (self.warmup_steps + 1)
        fall = (max_steps - step) / (self.decay_share * max_steps) if self.decay_share else 1.0
        return min(1.0, rise, fall)
