"""What `train` is asked for: the records. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any

from lumina_core.backbone.roles import ROLES, check_roles
from lumina_core.backbone.settings import BACKENDS, BackboneConfig
from lumina_core.checkpoints.manifest import TEXT_ENCODER
from lumina_core.config.several import MIXING
from lumina_core.data.settings import CachedConfig, FilesConfig, SyntheticConfig
from lumina_core.errors import LuminaError
from lumina_core.flow.settings import TimeConfig
from lumina_core.parallel.settings import ParallelConfig
from lumina_core.records import DTYPE_NAMES, NUM_SEEDS, Settings, block, setting
from lumina_core.text.settings import TextEncoderConfig

OPTIMIZERS = ("adamw", "muon")
NONE, BLOCKS = RECOMPUTED = ("none", "blocks")  # what computes a second time for its gradients


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


ADAPTERS = ("none", "lora", "dora")
NO_ADAPTER = ADAPTERS[0]
_IDLE = {"name": (NO_ADAPTER,)}


@dataclass(frozen=True)
class AdapterConfig(Settings, block="adapter"):
    """An adapter that is trained in place of the weights of a model."""

    name: str = setting(
        NO_ADAPTER,
        "train a low-rank change of init_from (LoRA, DoRA) in place of its weights",
        choices=ADAPTERS,
    )
    rank: int = setting(16, "of the change of each layer", at_least=1, idle=_IDLE)
    alpha: float | None = setting(
        None, "changes count alpha / rank; null: as much as the rank", above=0, idle=_IDLE
    )
    targets: tuple[str, ...] = setting(
        ("attention",), f"roles of the layers that change: {', '.join(ROLES)}", idle=_IDLE
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_roles("adapter.targets", self.targets, ROLES)
        if not self.targets:
            raise LuminaError(f"adapter.targets is empty; choose among {', '.join(ROLES)}")

    @property
    def is_used(self) -> bool:
        """Whether one is trained."""
        return self.name != NO_ADAPTER


FLOW, FEW_STEPS = OBJECTIVES = ("flow", "few_steps")
_OF_DATA = {"name": (FLOW,)}


@dataclass(frozen=True)
class ObjectiveConfig(Settings, block="objective"):
    """What the velocity of the network is to be."""

    name: str = setting(
        FLOW,
        "flow: the velocity of the data; few_steps: the guided velocity of init_from, straightened "
        "between few times",
        choices=OBJECTIVES,
    )
    num_steps: int = setting(4, "steps that samples will take", at_least=1, idle=_OF_DATA)
    teacher_steps: int = setting(
        3, "steps of init_from in place of each of them", at_least=1, idle=_OF_DATA
    )


MAX_JITTER = 2.0  # seven times larger or smaller: positions of another picture


@dataclass(frozen=True)
class Training(Settings):
    """How a network is trained: all that a modality's YAML may recommend."""

    max_steps: int = setting(2000, "optimizer steps", at_least=1)
    token_budget: int = setting(4096, "tokens of one batch", at_least=1)
    gradient_accumulation: int = setting(1, "batches of each optimizer step", at_least=1)
    """Their samples together make the loss of a step."""
    caption_dropout: float = setting(
        0.1, "share of samples trained without their caption", at_least=0, at_most=1
    )
    given_caption_dropout: float | None = setting(
        None,
        "the same where a part is given, so that it alone can say what the rest is; null: the same",
        at_least=0,
        at_most=1,
    )
    position_jitter: float = setting(
        0.0,
        "largest logarithm of a random factor on the common unit of rows and columns",
        at_least=0,
        at_most=MAX_JITTER,
    )
    condition_share: float = setting(
        0.2,
        "share of samples of which a part is given (filling, continuing)",
        at_least=0,
        at_most=1,
    )
    log_every: int = setting(10, "steps between lines of the log", at_least=1)
    sample_every: int = setting(500, "steps between sheets of samples; 0: none", at_least=0)
    save_every: int = setting(500, "steps between saved states; 0: only at the end", at_least=0)
    keep_last: int = setting(
        2, "newest checkpoints that keep their training state, to go on from", at_least=1
    )
    keep_every: int = setting(
        0, "steps between checkpoints that keep their training state for good; 0: none", at_least=0
    )
    num_sample_prompts: int = setting(
        8, "prompts on a sheet of samples", at_least=0, idle={"sample_every": (0,)}
    )
    validate_every: int = setting(
        0, "steps between validation losses of the averaged weights; 0: none", at_least=0
    )
    num_validation_samples: int = setting(
        64,
        "for validation; so many files are set aside, none of which is trained on",
        at_least=1,
        idle={"validate_every": (0,)},
    )
    validation_times: tuple[float, ...] = setting(
        (0.1, 0.3, 0.5, 0.7, 0.9),
        "times of the validation loss",
        at_least=0,
        at_most=1,
        idle={"validate_every": (0,)},
    )
    evaluate_every: int = setting(
        0, "steps between accuracies of the averaged weights; 0: none", at_least=0
    )
    num_evaluation_prompts: int = setting(
        40,
        "prompts of the trained split for an accuracy",
        at_least=1,
        idle={"evaluate_every": (0,)},
    )
    max_nonfinite_steps: int = setting(
        10, "steps in a row skipped for a loss that is not finite, then it stops", at_least=1
    )
    backbone: BackboneConfig = block(BackboneConfig, "tiny")
    """Without token_dims and feature_dims: these follow from the modality."""
    text_encoder: TextEncoderConfig = block(TextEncoderConfig, "tiny")
    optimizer: OptimizerConfig = block(OptimizerConfig, "adamw")
    time: TimeConfig = block(TimeConfig, "logit_normal")
    data: SyntheticConfig | FilesConfig | CachedConfig = block(
        SyntheticConfig,
        "synthetic",
        folder=FilesConfig,
        manifest=FilesConfig,
        shards=FilesConfig,
        cache=CachedConfig,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_every and (not self.save_every or self.keep_every % self.save_every):
            raise LuminaError(
                f"keep_every is {self.keep_every}; give a multiple of save_every, which is "
                f"{self.save_every}."
            )
        times = self.validation_times
        if not times or len(set(times)) < len(times):
            raise LuminaError(
                f"validation_times is {list(times)}; give different times, such as [0.1,0.5,0.9]."
            )


TRAINING_SETTINGS = tuple(field.name for field in fields(Training))
"""Keys that say how a network is trained; a modality's YAML may set these but for paths."""


OWN_SHARES = ("caption_dropout", "given_caption_dropout", "condition_share", "position_jitter")
OWN = ("data", "time", *OWN_SHARES)
"""Keys and blocks that each of several modalities has for itself."""


@dataclass(frozen=True)
class Member:
    """One modality of a training: its options, and its own of each key of OWN."""

    options: Any
    data: SyntheticConfig | FilesConfig | CachedConfig
    time: TimeConfig
    caption_dropout: float
    given_caption_dropout: float | None
    condition_share: float
    position_jitter: float
    share: float = 1.0
    """Of the tokens; the shares of all sum to 1."""


MIXED = f"{MIXING}."  # stands before its keys in messages


@lru_cache
def mixing_of(names: tuple[str, ...]) -> type:
    """The record of the keys that say which part of the tokens each modality takes.

    A modality may be called as a word of Python is, which no generated code could hold.
    """
    part = "share of the tokens of a step; null: an equal part of what the others leave"

    def init(self: Any, **given: float | None) -> None:
        for name in names:
            object.__setattr__(self, name, given.get(name))
        self.__post_init__()

    members: dict[str, Any] = {name: setting(None, part, above=0) for name in names}
    hints = dict.fromkeys(names, float | None)
    own = {"_prefix": MIXED, "__init__": init, "__annotations__": hints}
    made = type("Mixing", (Settings,), members | own)
    return dataclass(frozen=True, init=False, repr=False, eq=False)(made)


def shares_of(parts: Mapping[str, float | None]) -> dict[str, float]:
    """The share of each modality; those that all are given are proportions.

    Raises:
        LuminaError: some are given, and leave nothing for the others.
    """
    given = {name: part for name, part in parts.items() if part is not None}
    total = sum(given.values())
    rest = [name for name in parts if name not in given]
    if not rest:
        return {name: part / total for name, part in given.items()}
    if total >= 1:
        raise LuminaError(
            f"{MIXING} gives {total:g} of the tokens away, which leaves nothing for "
            f"{', '.join(rest)}; give {MIXING}.{rest[0]}, or less to the others"
        )
    return {name: given.get(name, (1 - total) / len(rest)) for name in parts}


@dataclass(frozen=True)
class TrainConfig(Training):
    """What `train` trains, on what and for how long."""

    modality: str = ""
    """The first of several."""
    options: Any = None
    joint: Mapping[str, Member] = field(default_factory=dict)
    """Of several modalities each, in whose place the options and OWN are those of the first."""
    note: str | None = None
    """What the user should know about how these settings came about."""
    out: str = setting(None, "checkpoint folder; null: outputs/<modality>-checkpoint", file=True)
    overwrite: bool = setting(False, "replace a folder that exists")
    resume: bool = setting(
        False,
        "go on with the training in the folder `out`, with the settings that are kept there",
    )
    init_from: str | None = setting(
        None,
        "start with the weights of a checkpoint, of the newest in the folder of a training, or of "
        "the demo: demo",
        file=True,
    )
    adapter: AdapterConfig = block(AdapterConfig, NO_ADAPTER)
    objective: ObjectiveConfig = block(ObjectiveConfig, FLOW)
    freeze: tuple[str, ...] = setting(
        (),
        f"roles of weights that stay as init_from has them: {', '.join((*ROLES, TEXT_ENCODER))}",
    )
    start_data: str | None = setting(
        None,
        "folder or manifest of what init_from was trained on, to measure what is forgotten; null: "
        "the world of the modality, if it was trained on that alone",
        file=True,
        idle={"validate_every": (0,)},
    )
    seed: int = setting(0, "of weights, data, noise and times", at_least=0, at_most=NUM_SEEDS - 1)
    download: bool = setting(False, "fetch models that are named by a hub id and are not there yet")
    tensorboard: bool = setting(
        False, "write the log for TensorBoard, too, into the folder tensorboard in `out`"
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1")
    dtype: str = setting(
        "float32", "in which the networks compute; weights stay float32", choices=DTYPE_NAMES[:2]
    )
    attention: str = setting(
        "auto", "how attention is computed; the last two on a GPU", choices=BACKENDS
    )
    activation_checkpointing: str = setting(
        NONE,
        "blocks: keep their inputs alone for the gradients and compute the rest a second time",
        choices=RECOMPUTED,
    )
    compile: bool = setting(False, "compile the feed-forward layers before the first step")
    save_dtype: str = setting(
        "float32", "of the stored weights; the training state keeps float32", choices=DTYPE_NAMES
    )
    num_threads: int | None = setting(None, "CPU threads; null: torch decides", at_least=1)
    parallel: ParallelConfig = block(ParallelConfig, "fsdp")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resume and self.overwrite:
            raise LuminaError("resume goes on in a folder, overwrite replaces it. Set one of them.")
        check_roles("freeze", self.freeze, (*ROLES, TEXT_ENCODER))
        if self.init_from is None and (self.adapter.is_used or self.freeze):
            what = "freeze keeps" if self.freeze else f"adapter={self.adapter.name} changes"
            raise LuminaError(f"{what} weights that are trained already; give init_from=CHECKPOINT")
        if self.objective.name == FEW_STEPS and (self.init_from is None or self.adapter.is_used):
            wanted = "leave adapter out" if self.adapter.is_used else "give init_from=CHECKPOINT"
            raise LuminaError(
                f"objective={FEW_STEPS} teaches all weights of a trained model to take fewer "
                f"steps; {wanted}"
            )
        if self.init_from is None and self.start_data is not None:
            raise LuminaError("start_data is what init_from was trained on; give init_from, too")
        if self.adapter.is_used and len(self.members) > 1:
            raise LuminaError(
                f"adapter={self.adapter.name} is trained on one modality, and this run has "
                f"{', '.join(self.members)}; choose one"
            )
        if self.adapter.is_used and (self.freeze or self._has_new_encoder):
            other = "freeze" if self.freeze else "text_encoder.trainable=true"
            raise LuminaError(
                f"{other} has no effect with adapter={self.adapter.name}, which trains nothing but "
                "the adapter; leave it out"
            )

    @property
    def _has_new_encoder(self) -> bool:
        return self.text_encoder.path is not None and self.text_encoder.trainable

    @property
    def members(self) -> Mapping[str, Member]:
        """What is trained, by the name of the modality."""
        return self.joint or {self.modality: self.as_member(1.0)}

    def as_member(self, share: float) -> Member:
        """What a training of several modalities needs of this one.

        Args:
            share: of the tokens.
        """
        own = {key: getattr(self, key) for key in OWN}
        return Member(options=self.options, **own, share=share)
