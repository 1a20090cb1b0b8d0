"""The architecture of a Flag-DiT backbone, checked before anything is allocated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lumina_core.errors import LuminaError, nearest

MAX_CONDITIONING_SIZE = 1024  # the released width of time and adaLN: min(hidden_size, 1024)
ROPE_KINDS = ("sequence", "axial")
NUM_AXES = (3, 5)  # frame, row, column; and row and column in one common unit


@dataclass(frozen=True)
class FlagDiTConfig:
    """Architecture of a backbone."""

    token_dims: Mapping[str, int]
    """Elements of a token per modality; each gets its own input and output projection."""
    hidden_size: int
    depth: int
    num_heads: int
    num_kv_heads: int | None
    """Heads of k and v; None: as many as num_heads."""
    text_dim: int
    """Width of the text features."""
    conditioning_size: int | None
    """Width of the time embedding and the adaLN input; None: min(hidden_size, 1024)."""
    multiple_of: int
    """The width of the feed-forward layer is rounded up to a multiple of this."""
    ffn_dim_multiplier: float | None
    norm_eps: float
    qk_norm: bool
    learn_sigma: bool
    """The head has a second half that is ignored, as in the released models."""
    separators: bool
    """[nextline] and [nextframe] stand in the sequence."""
    rope: str
    """`sequence` (the released 1-D form) or `axial` (frame, row, column from the grid)."""
    rope_theta: float
    rope_dims: tuple[int, ...] | None
    """Channels of a head for frame, row and column, and maybe for row and column in one common
    unit (`Layout.coordinates`); only for axial."""
    initial_gate: float
    """Where the cross-attention gates start, before tanh. 0 is the released value."""
    feature_dims: Mapping[str, int] = field(default_factory=dict)
    """Features that condition each frame, per modality that has any."""

    def __post_init__(self) -> None:
        self._check_positive()
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
        if self.rope not in ROPE_KINDS:
            raise LuminaError(
                f"backbone.rope={self.rope!r} is unknown; use one of {', '.join(ROPE_KINDS)}."
                + nearest(self.rope, ROPE_KINDS)
            )
        if self.rope == "axial" and not self._is_axial_split():
            raise LuminaError(
                f"backbone.rope_dims={self.rope_dims} must be three or five even numbers that "
                f"sum to the head's {self.head_dim} channels"
            )

    def _check_positive(self) -> None:
        counts = ("hidden_size", "depth", "num_heads", "text_dim", "multiple_of")
        optional = ("num_kv_heads", "conditioning_size", "ffn_dim_multiplier")
        for key in (*counts, *optional, "norm_eps", "rope_theta"):
            value = getattr(self, key)
            if value is None and key in optional:
                continue
            if not 0 < value < float("inf"):
                raise LuminaError(f"backbone.{key}={value} must be above 0")

    def _is_axial_split(self) -> bool:
        dims = self.rope_dims or ()
        is_even = all(dim % 2 == 0 and dim >= 0 for dim in dims)
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
