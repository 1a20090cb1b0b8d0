"""What networks of sounds share: latents of one row, and one time for all of it."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lumina_core import LuminaError
from lumina_diffusers.network import DiffusersNetwork, Group


class SoundNetwork(DiffusersNetwork):
    """A transformer that takes the columns of a sound, channels last, unless a family says else."""

    title: str
    """Of the family, for messages."""

    def columns(self, group: Group) -> Float[Tensor, "sample column channel"]:
        """The latents, in the dtype of the transformer."""
        return rearrange(group.latent, "b c 1 1 w -> b w c").to(self.transformer.dtype)

    def output(self, made: Tensor, group: Group) -> Tensor:
        """As in DiffusersNetwork."""
        return rearrange(made, "b w c -> b c 1 1 w")

    def shared_sigma(self, group: Group) -> Float[Tensor, "sample"]:
        """The time of each sample.

        Raises:
            LuminaError: a part of a sample is given.
        """
        sigma = self.sigma(group)
        if sigma.ndim > 1:
            raise LuminaError(
                f"{self.title} takes one time for the whole sound, so no part of it can be given; "
                "leave out condition.sound"
            )
        return sigma
