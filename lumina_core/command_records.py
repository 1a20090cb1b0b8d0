"""A typed, checked record per command: what its code takes instead of a dictionary.

Every value stands in the YAML, none is a default here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lumina_core.errors import LuminaError
from lumina_core.keys import PROMPT_KEYS

if TYPE_CHECKING:
    from lumina_core.backbone.flag_dit import FlagDiTConfig
    from lumina_core.backbone.rope import RopeScaling
    from lumina_core.coarse import CoarseConfig
    from lumina_core.conditioning import Condition
    from lumina_core.data.files import FilesConfig
    from lumina_core.data.synthetic import SyntheticConfig
    from lumina_core.flow.guidance import GuidanceConfig
    from lumina_core.flow.objective import TimeConfig
    from lumina_core.flow.solver import SolverConfig
    from lumina_core.optimizer import OptimizerConfig
    from lumina_core.text import TextEncoderConfig

RECORD_HOMES = {
    "FlagDiTConfig": "lumina_core.backbone.flag_dit",
    "RopeScaling": "lumina_core.backbone.rope",
    "CoarseConfig": "lumina_core.coarse",
    "Condition": "lumina_core.conditioning",
    "SyntheticConfig": "lumina_core.data.synthetic",
    "FilesConfig": "lumina_core.data.files",
    "GuidanceConfig": "lumina_core.flow.guidance",
    "TimeConfig": "lumina_core.flow.objective",
    "SolverConfig": "lumina_core.flow.solver",
    "OptimizerConfig": "lumina_core.optimizer",
    "TextEncoderConfig": "lumina_core.text",
}
"""Records beside their readers, imported once a composition is right: some of them bring torch."""

MAX_JITTER = 2.0  # seven times larger or smaller: positions of another picture
MAX_TEXT = 10_000  # characters of a prompt or a caption; encoders read the first 300 to 2000
MAX_SAMPLES = 10_000  # of one request; their names are made before the first is computed
NUM_SEEDS = 2**63  # torch generators take a seed below this


@dataclass(frozen=True)
class Sampling:
    """How samples are made."""

    solver: SolverConfig
    guidance: GuidanceConfig
    rope_scaling: RopeScaling
    longest_side: float | None
    """Of rows or columns in their common unit; positions of longer ones are shrunk. None: never."""
    position_limit: float | None
    """On the axes of the modality's own units; positions beyond are held at it. None: never."""
    proportional_attention: int | None
    """Positions of the sequences trained on; None: attention is not scaled."""
    coarse: CoarseConfig
    token_budget: int
    """Positions computed at once on a GPU; at least one sample, whatever its length."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "token_budget")
        _check_at_least(self, 2, "proportional_attention")
        for name in ("longest_side", "position_limit"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise LuminaError(f"{name} is {value}; set a number above 0, or null for no limit.")


@dataclass(frozen=True)
class RunConfig(Sampling):
    """A request: everything that decides what `run` makes."""

    modality: str
    options: Any
    """The plugin's own dataclass."""
    prompt: str
    """Empty with a prompt_file."""
    prompt_file: str | None
    negative_prompt: str
    seed: int
    num_samples: int
    out: str | None
    overwrite: bool
    checkpoint: str | None
    """A folder; the modality's demo checkpoint if none was named; None if it ships none."""
    repeat: str | None
    """The file whose request this is."""
    condition: Condition
    json: bool
    text_cache: str | None
    """Folder that keeps features of texts; None: they are kept in memory alone."""
    download: bool
    device: str
    dtype: str
    attention: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt_file is None and not self.prompt.strip():
            raise LuminaError("the prompt is empty. Write what to show, in quotes.")
        for key in PROMPT_KEYS:
            _check_text(key, getattr(self, key))
        _check_at_least(self, 1, "num_samples")
        if self.num_samples > MAX_SAMPLES:
            raise LuminaError(
                f"num_samples is {self.num_samples}; set at most {MAX_SAMPLES} per command."
            )
        _check_seed(self.seed, self.num_samples)


@dataclass(frozen=True)
class EvaluateConfig(Sampling):
    """What `evaluate` measures, and how it samples."""

    modality: str
    options: Any
    checkpoint: str | None
    """As in RunConfig."""
    num_prompts: int
    splits: tuple[str, ...] | None
    """None: every split of the world."""
    seed: int
    out: str | None
    """A folder, or a file that ends in .html."""
    overwrite: bool
    compare: str | None
    json: bool
    text_cache: str | None
    """Folder that keeps features of texts; None: they are kept in memory alone."""
    download: bool
    device: str
    dtype: str
    attention: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_at_least(self, 1, "num_prompts")
        _check_seed(self.seed, self.num_prompts)
        if self.splits is not None and not 0 < len(self.splits) == len(set(self.splits)):
            raise LuminaError(
                f"splits is {list(self.splits)}; name each split once, or use null for all of them."
            )


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


def _check_at_least(record: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value is not None and value < least:
            raise LuminaError(f"{name} is {value}; set a whole number of at least {least}.")


def _check_seed(seed: int, count: int = 1) -> None:
    if not 0 <= seed <= NUM_SEEDS - count:
        raise LuminaError(f"seed is {seed}; set a whole number from 0 to {NUM_SEEDS - count}.")


def _check_text(key: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise LuminaError(
            f"the {key} has {len(text)} characters; at most {MAX_TEXT} are read. Shorten it."
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LuminaError(
            f"the {key} is no valid UTF-8: half a character stands in it. Write it as UTF-8."
        ) from error
