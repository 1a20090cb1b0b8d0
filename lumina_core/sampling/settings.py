"""What `run` is asked for: the records. Imports no torch."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from lumina_core.backbone.settings import BACKENDS, RopeScaling
from lumina_core.errors import LuminaError
from lumina_core.flow.settings import ADAPTIVE, GuidanceConfig, SolverConfig
from lumina_core.records import (
    BLOCKS,
    DTYPE_NAMES,
    NUM_SEEDS,
    OFFLOAD_NAMES,
    QUANTISE_NAMES,
    Settings,
    block,
    check_seed,
    check_text,
    setting,
)

MAX_SAMPLES = 10_000  # of one request; their names are made before the first is computed
AUTO, NONE = "auto", "none"
EXACT = "exact"
SPEEDS = {EXACT: 1, "balanced": 2, "fast": 4}  # by what the number of steps is divided
MIN_STRENGTH = 1e-6  # of a request; below it 1 - strength rounds to 1 in float32


@dataclass(frozen=True)
class Condition(Settings, block="condition"):
    """What a request gives beside its prompt."""

    strength: float = setting(
        1.0,
        "share of the way that starts from noise; below 1 keeps what is given partly",
        at_least=MIN_STRENGTH,
        at_most=1,
    )
    label: str | None = setting(
        None, "class to show, by name or number, for models of classes; stands for the prompt"
    )
    wanted: Any = None
    """The plugin's own dataclass; None: nothing is given."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength < 1 and self.wanted is None:
            raise LuminaError(
                f"condition.strength={self.strength} changes something that is given, and nothing "
                "is; give it too, or leave the strength out"
            )


@dataclass(frozen=True)
class CoarseConfig(Settings, block="coarse"):
    """Which samples begin small, and how small; lengths count separators, too."""

    above: int | None = setting(
        None,
        "tokens above which a sample is begun small, then enlarged and finished; null: off",
        at_least=1,
    )
    tokens: int = setting(
        80, "about how many the small one has", at_least=1, idle={"above": (None,)}
    )
    strength: float = setting(
        0.7,
        "share of the way that starts from noise after enlarging",
        at_least=MIN_STRENGTH,
        below=1,
        idle={"above": (None,)},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.above is not None and self.tokens > self.above:
            raise LuminaError(
                f"coarse.tokens={self.tokens} and coarse.above={self.above}: use no more tokens "
                "than above"
            )


@dataclass(frozen=True)
class Sampling(Settings):
    """How samples are made."""

    solver: SolverConfig = block(SolverConfig, "euler")
    guidance: GuidanceConfig = block(GuidanceConfig, "default")
    rope_scaling: RopeScaling = block(RopeScaling)
    longest_side: float | None = setting(
        None,
        "of training, in the common unit of rows and columns; positions of longer ones are shrunk "
        "to it",
        above=0,
    )
    position_limit: float | None = setting(
        None,
        "of training, in the units of the modality; positions farther from zero are held at it",
        above=0,
    )
    proportional_attention: int | None = setting(
        None, "tokens of the sequence trained on; scales attention for longer ones", at_least=2
    )
    resolution: str = setting(
        AUTO,
        "auto: samples of more than trained_patches are scaled as the family of the model was "
        "released, where rope_scaling and proportional_attention are not set; none: they are not",
        choices=(AUTO, NONE),
        untold=True,
    )
    trained_patches: int | None = setting(
        None,
        "patches of the largest samples of training; null: not known",
        at_least=2,
        idle={"resolution": (NONE,)},
        untold=True,
    )
    coarse: CoarseConfig = block(CoarseConfig)
    speed: str = setting(
        EXACT,
        "balanced: half of the steps; fast: a quarter; euler becomes ab2, which loses less by it",
        choices=tuple(SPEEDS),
        untold=True,
    )
    """The file of a sample has the solver that was used, and no speed."""
    token_budget: int = setting(65_536, "tokens computed at once on a GPU", at_least=1)
    """At least one sample is computed, whatever its length."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.guidance.share_of_steps < 1 and self.solver.name in ADAPTIVE:
            raise LuminaError(
                f"guidance.share_of_steps={self.guidance.share_of_steps} counts steps, and "
                f"solver.name={self.solver.name} has no number of them; set it to 1, or use "
                "guidance.interval or another solver"
            )
        if self.speed != EXACT and self.solver.name in ADAPTIVE:
            raise LuminaError(
                f"speed={self.speed} leaves steps out, and solver.name={self.solver.name} has no "
                "number of them; use solver.atol and solver.rtol or another solver"
            )

    def at_speed(self) -> Self:
        """The same with the steps that the speed leaves, and speed=exact."""
        if self.speed == EXACT:
            return self
        return replace(self, solver=self.solver.quicker(SPEEDS[self.speed]), speed=EXACT)


SAMPLING_SETTINGS = tuple(f.name for f in fields(Sampling) if f.name != "token_budget")
"""Keys that say how a sample is made; its file carries them. A checkpoint and a modality's YAML
recommend these alone: nothing that acts for the user, such as a path, a device or a download."""


@dataclass(frozen=True)
class ModelSource(Settings):
    """Which model is loaded, and how it computes."""

    modality: str = ""
    options: Any = None
    """The plugin's own dataclass."""
    checkpoint: str | None = setting(
        None,
        "a checkpoint, a training, whose newest is taken, weights of others, a name or a hub id; "
        "null: the demo of the modality",
        file=True,
    )
    """In a record a checkpoint; None if the modality ships no demo."""
    adapters: tuple[str, ...] | None = setting(
        None, "LoRA or DoRA files for the model, FILE or FILE:STRENGTH each", file=True
    )
    merge_adapters: bool = setting(
        True,
        "add adapters to the weights; false: compute them beside the weights",
        idle={"adapters": (None,)},
    )
    text_encoder: str | None = setting(
        None,
        "folder of the text encoder, or its hub id, for weights that bring none; null: that of the "
        "checkpoint",
        file=True,
    )
    text_encoder_device: str = setting(
        "auto",
        "cpu: the text encoder stays in the memory of the host while the backbone computes on a "
        "GPU; auto: it computes there, too, before",
        choices=("auto", "cpu"),
    )
    text_cache: str | None = setting(
        None,
        "folder that keeps text features, for encoders that are slow to read; null: memory only",
        file=True,
    )
    download: bool = setting(False, "fetch models that are named by a hub id and are not there yet")
    device: str = setting("auto", "auto, cpu, cuda, cuda:1")
    dtype: str = setting("float32", "of the backbone", choices=DTYPE_NAMES)
    attention: str = setting(
        "auto", "how attention is computed; the last two on a GPU", choices=BACKENDS
    )
    offload: str = setting(
        "none",
        "blocks: those of the backbone wait in the memory of the host and come to the GPU in turn",
        choices=OFFLOAD_NAMES,
    )
    quantise: str = setting(
        "none",
        "int8: matrices of the blocks in 8 bits, half as large as in bfloat16 and less exact; "
        "needs torchao",
        choices=QUANTISE_NAMES,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offload == BLOCKS and not self.merge_adapters:
            raise LuminaError(
                "merge_adapters=false and offload=blocks do not go together, for blocks that take "
                "turns have weights alike; leave one of them out"
            )


@dataclass(frozen=True)
class RunConfig(ModelSource, Sampling):
    """A request: everything that decides what `run` makes."""

    prompt: str = setting(None, "what to show; a bare argument is the same")
    """Empty with a prompt_file."""
    prompt_file: str | None = setting(
        None, "many prompts: one per line, or .jsonl; makes the files that are missing", file=True
    )
    negative_prompt: str = setting("", "what guidance moves away from")
    regions: tuple[int, int] | None = setting(
        None,
        "rows and columns of a grid whose cells have a prompt each, parted by |, row by row; null: "
        "one prompt",
        at_least=1,
    )
    seed: int = setting(
        0, "of the first sample; sample i has seed + i", at_least=0, at_most=NUM_SEEDS - 1
    )
    num_samples: int = setting(1, "files to make", at_least=1, at_most=MAX_SAMPLES)
    out: str | None = setting(
        None, "file or folder; null: outputs/<modality>-<number>-s<seed>", file=True
    )
    overwrite: bool = setting(False, "replace a file that exists")
    repeat: str | None = setting(
        None, "file to make again; keys beside it change its request", file=True
    )
    json: bool = setting(False, "print the result as JSON")
    condition: Condition = block(Condition)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prompt_file is None and not self.prompt.strip():
            raise LuminaError("the prompt is empty. Write what to show, in quotes.")
        for key in ("prompt", "negative_prompt"):
            check_text(key, getattr(self, key))
        check_seed(self.seed, self.num_samples)


def sampling_of(config: Sampling) -> Sampling:
    """The part of a command's configuration that says how samples are made."""
    return Sampling(**{field.name: getattr(config, field.name) for field in fields(Sampling)})
