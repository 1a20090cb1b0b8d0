"""Weights for a network that was built on the meta device: tensor by tensor, as they are stored.

A tensor that is a view of its file stays one. So nothing is read before it is used, and
`Module.to` afterwards has one weight at a time in two types. The pages of a file that is replaced
by a rename, as all of ours are, stay until the network is gone; what is written into a file that is
open changes the network.
"""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from lumina_core.errors import MAX_NAME, printable


def fill(network: nn.Module, tensors: Iterable[tuple[str, Callable[[], Tensor]]]) -> None:
    """Give a network its weights, strictly, in the types in which they come.

    Args:
        network: on the meta device.
        tensors: the name of each weight, and what reads it.

    Raises:
        ValueError: one is missing, unknown, there twice, of another shape, or of whole numbers; the
            network is as it was.
    """
    wanted = network.state_dict()
    found: dict[str, Tensor] = {}
    for name, read in tensors:
        if name not in wanted:
            raise ValueError(f"it holds {printable(name, MAX_NAME)}, which the network lacks")
        if name in found:
            raise ValueError(f"it holds {name} twice")
        tensor, shape = read(), tuple(wanted[name].shape)
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} of {tensor.dtype}, not {shape} of floating point"
            )
        found[name] = tensor
    if missing := wanted.keys() - found.keys():
        raise ValueError(f"it lacks {min(missing)}")
    network.load_state_dict(found, assign=True)
