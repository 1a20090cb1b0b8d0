"""How a text encoder is chosen and read: the records. Imports no torch.

A template is plain text. The chat templates of released encoders are programs, which nobody runs
here: what such a program makes of one message of a user stands in the YAML of the model.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

from lumina_core.errors import LuminaError
from lumina_core.records import DTYPE_NAMES, Settings, setting

MAX_TOKENS = 1 << 14  # of a text; released models of media read 77 to 512
PLACE = "{prompt}"  # where a template has the text


class Negative(NamedTuple):
    """What guidance moves away from: a negative prompt, or a caption that training left out."""

    text: str
    prompt: str = ""
    """In whose place it stands."""


Text = str | Negative
"""What an encoder is asked; a bare text is a prompt or a caption."""


@dataclass(frozen=True)
class Reading(Settings, block="text_encoder"):
    """How a text becomes features. The defaults are what a manifest without an entry means."""

    max_tokens: int = setting(32, "longer texts are cut", at_least=1, at_most=MAX_TOKENS)
    hidden_state: int = setting(
        -1, "whose output is used: -1 the last layer and its norm, -2 the layer before", at_most=-1
    )
    add_eos: bool = setting(False, "put the end mark after a text where the tokenizer does not")
    padded: bool = setting(False, "fill texts with pad tokens to max_tokens; these count as text")
    keeps_pads: bool = setting(
        True,
        "whether pad tokens become features; false: the encoder reads them, and they are left out",
        idle={"padded": (False,)},
        untold=True,
    )
    adds_embedding: bool = setting(
        False, "put the embedding of each token before its features: twice the width", untold=True
    )
    empty_is_zero: bool = setting(
        False, "an empty negative prompt is zeros, as many as the prompt has tokens", untold=True
    )
    dtype: str = setting("float32", "of the weights of a frozen encoder", choices=DTYPE_NAMES)
    template: str = setting(PLACE, f"what the encoder reads, with {PLACE} for the text")
    template_for: str = setting(
        "prompts",
        "whose texts it holds: prompts alone, or all, negative prompts included",
        choices=("prompts", "all"),
        idle={"template": (PLACE,)},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if (found := self.template.count(PLACE)) != 1:
            raise LuminaError(
                f"text_encoder.template has {found} times {PLACE}; write it once, where the text "
                "goes, or leave text_encoder.template out for the text alone"
            )

    def is_zero(self, text: Text) -> bool:
        """Whether the features of a text are zeros, as many as its prompt has tokens."""
        return self.empty_is_zero and isinstance(text, Negative) and not text.text

    def written_out(self, text: Text) -> str:
        """What the encoder reads where it is asked a text."""
        if isinstance(text, Negative) and self.is_zero(text):
            text = text.prompt
        if isinstance(text, Negative):
            if self.template_for == "prompts":
                return text.text
            text = text.text
        head, _, tail = self.template.partition(PLACE)
        return head + text + tail


@dataclass(frozen=True)
class TextEncoderConfig(Reading):
    """Which text encoder, and how it is used."""

    path: str | None = setting(
        None,
        "folder of a transformers encoder, or its hub id; null: a new one is trained",
        file=True,
    )
    cache: str | None = setting(
        None, "folder for features of a frozen encoder; null: in memory alone", file=True
    )
    trainable: bool = setting(True, "learns together with the backbone")
    hidden_size: int = setting(128, "width of a new encoder; the backbone's text_dim", at_least=1)
    depth: int = setting(2, "layers of a new encoder", at_least=1)
    num_heads: int = setting(4, "heads of a new encoder", at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden_size % (2 * self.num_heads):
            raise LuminaError(
                f"text_encoder.hidden_size={self.hidden_size} over text_encoder.num_heads="
                f"{self.num_heads} must give an even number of channels per head"
            )
        if self.path is None and not self.trainable:
            raise LuminaError(
                "text_encoder.trainable=false needs text_encoder.path: a new encoder knows nothing"
            )
        if self.trainable and self.dtype != "float32":
            raise LuminaError(
                f"text_encoder.dtype={self.dtype} is for frozen encoders; set "
                "text_encoder.trainable=false or text_encoder.dtype=float32"
            )
        if self.trainable and self.cache is not None:
            raise LuminaError(
                "text_encoder.cache keeps features of frozen encoders; set "
                "text_encoder.trainable=false or leave it out"
            )

    @property
    def reading(self) -> Reading:
        """How the encoder reads texts."""
        return Reading(**{field.name: getattr(self, field.name) for field in fields(Reading)})
