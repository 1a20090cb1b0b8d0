"""The architecture of a backbone, checked before anything is allocated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting

MAX_CONDITIONING_SIZE = 1024  # the released width of time and adaLN: min(hidden_size, 1024)
ROPE_KINDS = ("sequence", "axial")
NUM_AXES = (3, 5)  # frame, row, column; and row and column in one common unit


@dataclass(frozen=True)
class BackboneConfig(Settings, block="backbone"):
    """Architecture of a backbone."""

    token_dims: Mapping[str, int] = field(default_factory=dict)
    """Elements of a token per modality; each gets its own input and output projection."""
    hidden_size: int = setting(128, "width of the network", at_least=1)
    depth: int = setting(6, "number of blocks", at_least=1)
    num_heads: int = setting(4, "attention heads", at_least=1)
    num_kv_heads: int | None = setting(
        None, "heads of k and v; null: as many as num_heads", at_least=1
    )
    text_dim: int = setting(128, "width of the text features", at_least=1)
    conditioning_size: int | None = setting(
        96,
        f"width of the time embedding; null: hidden_size, at most {MAX_CONDITIONING_SIZE}",
        at_least=1,
    )
    multiple_of: int = setting(
        32, "the feed-forward width is rounded up to a multiple of this", at_least=1
    )
    ffn_dim_multiplier: float | None = setting(
        None, "factor on the feed-forward width; null: 1", above=0
    )
    norm_eps: float = setting(1e-5, "epsilon of the norms", above=0)
    qk_norm: bool = setting(True, "LayerNorm on q and k")
    learn_sigma: bool = setting(
        False, "an unused second half of the output, as in the released models"
    )
    separators: bool = setting(True, "[nextline] and [nextframe] stand in the sequence")
    rope: str = setting("axial", "positions: 1-D, or frame, row and column", choices=ROPE_KINDS)
    rope_theta: float = setting(100.0, "base of the frequencies", above=0)
    rope_dims: tuple[int, ...] | None = setting(
        (0, 8, 8, 8, 8),
        "channels of a head for frame, row, column, and row and column in one unit; axial only",
        at_least=0,
    )
    initial_gate: float = setting(0.5, "where the gates of the text start, before tanh")
    """0 is the released value."""
    feature_dims: Mapping[str, int] = field(default_factory=dict)
    """Features that condition each frame, per modality that has any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size % self.num_heads or self.head_dim % 2:
            raise LuminaError(
                f"backbone.hidden_size={self.hidden_size} over backbone.num_heads={self.num_heads} "
                f"must give an even number of channels per head"
            )
        if self.num_heads % self.kv_heads:
            raise LuminaError(
                f"backbone.num_heads={self.num_heads} is no multiple of "
                f"backbone.num_kv_heads={self.kv_heads}"
            )
        if self.rope == "axial" and not self._is_axial_split():
            raise LuminaError(
                f"backbone.rope_dims={self.rope_dims} must be three or five even numbers that "
                f"sum to the head's {self.head_dim} channels"
            )

    def _is_axial_split(self) -> bool:
        dims = self.rope_dims or ()
        is_even = all(dim % 2 == 0 for dim in dims)
        return len(dims) in NUM_AXES and is_even and sum(dims) == self.head_dim

    @property
    def head_dim(self) -> int:
        """Channels per head."""
        return self.hidden_size // self.num_heads

    @property
    def kv_heads(self) -> int:
        """Heads of k and v."""
        return self.num_kv_heads or self.num_heads

    @property
    def condition_dim(self) -> int:
        """Width of the adaLN input."""
        return self.conditioning_size or min(self.hidden_size, MAX_CONDITIONING_SIZE)

    @property
    def ffn_dim(self) -> int:
        """Width of the feed-forward layer: two thirds of 4 hidden_size, scaled and rounded up."""
        width = int(2 * 4 * self.hidden_size / 3)
        if self.ffn_dim_multiplier is not None:
            width = int(self.ffn_dim_multiplier * width)
        return -(-width // self.multiple_of) * self.multiple_of

    @property
    def axis_dims(self) -> tuple[int, ...]:
        """Channels of a head that each position axis rotates."""
        if self.rope == "axial" and self.rope_dims:
            return tuple(self.rope_dims)
        return (self.head_dim,)


BACKENDS = ("auto", "sdpa", "varlen", "xformers")


@dataclass(frozen=True)
class RopeScaling(Settings, block="rope_scaling"):
    """How positions are scaled for one call; (1, 1, None) leaves them as trained."""

    linear: float = setting(1.0, "divides positions, for sizes never trained on", above=0)
    ntk: float = setting(1.0, "multiplies rope_theta, for sizes never trained on", above=0)
    watershed: float | None = setting(
        None, "time from linear to ntk; null: both act always", at_least=0, at_most=1
    )


NO_SCALING = RopeScaling()
