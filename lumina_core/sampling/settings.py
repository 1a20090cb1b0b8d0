"""What `run` is asked for: the records. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from lumina_core.config.keys import PROMPT_KEYS
from lumina_core.errors import LuminaError
from lumina_core.flow.settings import GuidanceConfig
from lumina_core.records import Settings, _check_at_least, _check_seed, _check_text, setting

if TYPE_CHECKING:
    from lumina_core.backbone.settings import RopeScaling
    from lumina_core.flow.settings import SolverConfig


MAX_SAMPLES = 10_000  # of one request; their names are made before the first is computed


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


SAMPLING_SETTINGS = (
    *("solver", "guidance", "rope_scaling", "longest_side", "position_limit"),
    *("proportional_attention", "coarse"),
)
"""Keys that say how a sample is made; its file carries them. A checkpoint and a modality's YAML
recommend these alone: nothing that acts for the user, such as a path, a device or a download."""


def sampling_of(config: Sampling) -> Sampling:
    """The part of a command's configuration that says how samples are made."""
    return Sampling(**{field.name: getattr(config, field.name) for field in fields(Sampling)})


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
