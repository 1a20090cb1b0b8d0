"""What sampling and training ask of a network, and what a package says of one that it brings.

Our own is transformer.py. Those of other packages are found by the hook `lumina_networks`; the core
knows none of their names.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from re import search
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from lumina_core.backbone.regions import Regions
from lumina_core.backbone.settings import NO_SCALING, RopeScaling
from lumina_core.errors import LuminaError
from lumina_core.sequence import TokenBatch, TokenSample, pack


class Network(nn.Module, ABC):
    """From a packed batch, its times and its texts to the velocity of each token."""

    @property
    def separators(self) -> bool:
        """Whether the ends of rows and frames are positions."""
        return False

    @property
    def time_scale(self) -> float:
        """What the network multiplies time with before anything else."""
        return 1.0

    @property
    def text_dim(self) -> int | None:
        """Width of the features of texts that it reads; None: it does not say."""
        return None

    @property
    def feature_dims(self) -> Mapping[str, int]:
        """By modality, the features of frames that have weights of their own."""
        return {}

    @property
    @abstractmethod
    def described(self) -> dict[str, Any]:
        """What a manifest says of it, as `backbone`."""

    @property
    @abstractmethod
    def matrix_shape(self) -> tuple[int, int]:
        """Inputs and outputs of a linear layer as most of its products are."""

    @abstractmethod
    def role_of(self, name: str) -> str | None:
        """The role of a weight, as in roles.py; None: it has none."""

    @abstractmethod
    def recompute(self) -> None:
        """From now on keep the inputs of blocks alone for gradients, and compute once more."""

    def pack(self, samples: Sequence[TokenSample]) -> TokenBatch:
        """Samples end to end, as this network takes them; see `sequence.pack`."""
        return pack(samples, separators=self.separators)

    def worded(self, text: Any, options: Any) -> Any:
        """What the text encoder is asked for a text; most networks want the text itself.

        Args:
            text: a prompt, or a Negative of `text.settings`.
            options: of the sample's modality.

        Raises:
            LuminaError: it wants no such text.
        """
        return text

    @abstractmethod
    def prepare(
        self,
        batch: TokenBatch,
        text: Float[Tensor, "text text_dim"],
        text_lengths: Sequence[int],
        *,
        scaling: RopeScaling = NO_SCALING,
        proportional_base: int | None = None,
        attention: str = "auto",
        regions: Regions | None = None,
        keeps_text: bool = True,
    ) -> Any:
        """Compute once what depends on neither x nor t; see `Backbone.prepare`.

        A network of another package gets the defaults of what stands behind the star: whoever asks
        for something else is refused before.
        """

    @abstractmethod
    def forward(
        self, batch: TokenBatch, segment_time: Float[Tensor, "segment"], context: Any
    ) -> Float[Tensor, "element"]:
        """Velocity of the state.

        Args:
            batch: from `pack`.
            segment_time: time of each segment in [0, 1].
            context: from `prepare` for a batch of the same layout.

        Returns:
            float32, shaped as the state: data less noise.
        """


class PackagedNetwork(Network):
    """A network that a package brings, for weights in a folder of diffusers.

    What its class methods get as `about` is what a manifest says of it: `configs`, by folder, of
    `transformer` and of those of `folders` that are there, and `pipeline`, the plain values of
    model_index.json. The names of its weights begin with their folder and a dot.
    """

    about: Mapping[str, Any]
    """Of the manifest."""
    tokenizer: Any
    """Of the modality."""
    roles: ClassVar[Mapping[str, str]] = {}
    """By role, a regular expression for names of its weights; the first that is found counts."""
    streams: ClassVar[bool] = False
    """Whether it goes through each list of its blocks once, in order: so they may come to a GPU in
    turn."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Folders beside `transformer` whose weights belong to it, too, where they are there."""
    ignored: ClassVar[tuple[str, ...]] = ()
    """Regular expressions for stored names that it never reads."""
    untrained: ClassVar[str | None] = None
    """Why nothing of it is trained, as the middle of a message; None: adapters are."""

    @property
    def described(self) -> dict[str, Any]:
        """As in Network."""
        return dict(self.about)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """As in Network: those of its largest."""
        linears = [module for module in self.modules() if isinstance(module, nn.Linear)]
        largest = max(linears, key=lambda linear: linear.weight.numel())
        return largest.in_features, largest.out_features

    def block_lists(self) -> list[tuple[nn.Module, str]]:
        """What holds a list of blocks of one shape, and the name that it has there."""
        return [
            (part, name)
            for part in self.children()
            for name, blocks in part.named_children()
            if isinstance(blocks, nn.ModuleList) and len(set(map(_shapes, blocks))) == 1
        ]

    def role_of(self, name: str) -> str | None:
        """As in Network."""
        return next((role for role, each in self.roles.items() if search(each, name)), None)

    def recompute(self) -> None:
        """As in Network.

        Raises:
            LuminaError: it cannot.
        """
        raise LuminaError(
            f"activation_checkpointing=blocks: a {type(self).__name__} cannot compute its blocks "
            "a second time; leave it out"
        )

    @classmethod
    @abstractmethod
    def made(cls, about: Mapping[str, Any], tokenizer: Any) -> "PackagedNetwork":
        """The network of a manifest, its weights on the meta device.

        Args:
            about: of the manifest.
            tokenizer: of the modality: how its latents become tokens.

        Raises:
            LuminaError, KeyError, TypeError, ValueError: the configs describe none.
        """

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """Options of the modality that the configs fix.

        Raises:
            LuminaError: it is a network of another kind, such as one that takes pictures.
        """
        return {}

    @classmethod
    @abstractmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """Elements of a token."""

    @classmethod
    @abstractmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """What `solver` is to have for the steps of a scheduler, and notes for the user.

        Args:
            about: of the manifest.
            scheduler: what scheduler_config.json holds.

        Raises:
            LuminaError: it steps as no solver here does.
        """


def _shapes(module: nn.Module) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(weight.shape)) for name, weight in module.named_parameters())
