"""The architecture of a backbone, checked before anything is allocated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lumina_core.errors import LuminaError
from lumina_core.records import Settings, setting

MAX_CONDITIONING_SIZE = 1024  # the released width of time and adaLN: min(hidden_size, 1024)
NUM_AXES = (3, 5)  # frame, row, column; and row and column in one common unit

CROSS, JOINT, LABEL = "cross", "joint", "label"
TEXTS = (CROSS, JOINT, LABEL)
SEQUENCE, AXIAL, ALTERNATING, CONCATENATED = "sequence", "axial", "alternating", "concatenated"
ROPE_KINDS = (SEQUENCE, AXIAL, ALTERNATING, CONCATENATED)


@dataclass(frozen=True)
class BackboneConfig(Settings, block="backbone"):
    """Architecture of a backbone: its sizes, and the switches of its block.

    The defaults of the switches are those of Flag-DiT; the other families of released models stand
    in `families/`.
    """

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
    ffn_size: int | None = setting(
        None, "the feed-forward width itself; null: from the two keys before", at_least=1
    )
    norm_eps: float = setting(1e-5, "epsilon of the norms", above=0)
    qk_norm: bool = setting(True, "a norm on q and k")
    head_norm: bool = setting(
        False,
        "it is an RMSNorm of each head, else a LayerNorm over the full width",
        idle={"qk_norm": (False,)},
    )
    qk_norm_eps: float | None = setting(
        None, "its epsilon; null: norm_eps", above=0, idle={"qk_norm": (False,)}
    )
    learn_sigma: bool = setting(
        False, "an unused second half of the output, as in the released models"
    )
    separators: bool = setting(True, "[nextline] and [nextframe] stand in the sequence")
    rope: str = setting(
        "axial",
        "positions: 1-D; frame, row and column in the units of the modality; or counted patches, "
        "rows and columns in turn, or text, row and column one after the other",
        choices=ROPE_KINDS,
    )
    rope_theta: float = setting(100.0, "base of the frequencies", above=0)
    rope_dims: tuple[int, ...] | None = setting(
        (0, 8, 8, 8, 8),
        "channels of a head for frame, row, column, and row and column in one unit; with "
        "concatenated positions for text, row and column",
        at_least=0,
    )
    initial_gate: float = setting(
        0.5, "where the gates of the text start, before tanh", idle={"text": (JOINT, LABEL)}
    )
    """0 is the released value."""
    text: str = setting(
        CROSS,
        "how the prompt enters: by cross-attention, in the same sequence, or as the number of a "
        "class",
        choices=TEXTS,
    )
    refiners: int = setting(
        0,
        "blocks for text alone and for tokens alone, before both stand in one sequence",
        at_least=0,
        idle={"text": (CROSS, LABEL)},
    )
    text_start: int = setting(
        0, "position of the first text token", at_least=0, idle={"text": (CROSS, LABEL)}
    )
    pad_multiple: int = setting(
        1,
        "text and tokens are filled up to a multiple of this with learned pads",
        at_least=1,
        idle={"text": (CROSS, LABEL)},
    )
    num_classes: int | None = setting(
        None, "classes that a label tells apart", at_least=1, idle={"text": (CROSS, JOINT)}
    )
    sandwich: bool = setting(
        False, "norms before and after each layer, gates through tanh, and no shift"
    )
    pre_norm_weight: bool = setting(True, "the norms before each layer have weights")
    final_shift: bool = setting(True, "the last modulation shifts, too")
    modulation_silu: bool = setting(True, "SiLU before the modulation of each block")
    time_size: int | None = setting(
        None, "hidden width of the time embedding; null: conditioning_size", at_least=1
    )
    time_scale: float = setting(1.0, "factor on the time", above=0)
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
        if self.rope == AXIAL and not self._is_split(NUM_AXES):
            raise LuminaError(
                f"backbone.rope_dims={self.rope_dims} must be three or five even numbers that "
                f"sum to the head's {self.head_dim} channels"
            )
        if self.rope == CONCATENATED and not self._is_split((3,)):
            raise LuminaError(
                f"backbone.rope_dims={self.rope_dims} must be three even numbers that sum to the "
                f"head's {self.head_dim} channels"
            )
        if self.rope == ALTERNATING and self.head_dim % 4:
            raise LuminaError(
                f"backbone.rope=alternating needs a multiple of 4 channels per head, and "
                f"backbone.hidden_size={self.hidden_size} over backbone.num_heads={self.num_heads} "
                f"gives {self.head_dim}"
            )
        if (self.text == JOINT) != (self.rope == CONCATENATED):
            raise LuminaError(
                f"backbone.text={self.text} does not go with backbone.rope={self.rope}: joint text "
                "has positions of its own; set both text=joint and rope=concatenated, or neither"
            )
        if self.text == JOINT and self.separators:
            raise LuminaError(
                "backbone.text=joint goes with backbone.separators=false: its positions count rows"
            )
        if (self.text == LABEL) != (self.num_classes is not None):
            raise LuminaError(
                f"backbone.text={self.text} does not go with backbone.num_classes="
                f"{self.num_classes}; a label needs the number of classes, text has none"
            )

    def _is_split(self, num_axes: tuple[int, ...]) -> bool:
        dims = self.rope_dims or ()
        is_even = all(dim % 2 == 0 for dim in dims)
        return len(dims) in num_axes and is_even and sum(dims) == self.head_dim

    @property
    def head_dim(self) -> int:
        """Channels per head."""
        return self.hidden_size // self.num_heads

    @property
    def kv_heads(self) -> int:
        """Heads of k and v."""
        return self.num_kv_heads or self.num_heads

    @property
    def kv_dim(self) -> int:
        """Width of k and v."""
        return self.kv_heads * self.head_dim

    @property
    def condition_dim(self) -> int:
        """Width of the adaLN input."""
        return self.conditioning_size or min(self.hidden_size, MAX_CONDITIONING_SIZE)

    @property
    def ffn_dim(self) -> int:
        """Width of the feed-forward layer: two thirds of 4 hidden_size, scaled and rounded up."""
        if self.ffn_size is not None:
            return self.ffn_size
        width = int(2 * 4 * self.hidden_size / 3)
        if self.ffn_dim_multiplier is not None:
            width = int(self.ffn_dim_multiplier * width)
        return -(-width // self.multiple_of) * self.multiple_of

    @property
    def axis_dims(self) -> tuple[int, ...]:
        """Channels of a head that each position axis rotates."""
        if self.rope in (AXIAL, CONCATENATED) and self.rope_dims:
            return tuple(self.rope_dims)
        return (self.head_dim,)

    @property
    def time_dim(self) -> int:
        """Hidden width of the time embedding."""
        return self.time_size or self.condition_dim

    @property
    def qk_eps(self) -> float:
        """Epsilon of the norm of q and k."""
        return self.norm_eps if self.qk_norm_eps is None else self.qk_norm_eps


SWITCHES = (
    "ffn_size",
    "head_norm",
    "qk_norm_eps",
    "text",
    "refiners",
    "text_start",
    "pad_multiple",
    "num_classes",
    "sandwich",
    "pre_norm_weight",
    "final_shift",
    "modulation_silu",
    "time_size",
    "time_scale",
)
"""Settings in which families of released models differ beside Flag-DiT's own."""

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
