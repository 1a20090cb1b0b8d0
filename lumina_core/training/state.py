"""The training state beside a checkpoint: saved, restored, old ones dropped."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lumina_core.checkpoints.manifest import TRAINING
from lumina_core.errors import LuminaError, reason_of
from lumina_core.parallel.sharded import cut_as, whole
from lumina_core.training.adapter import kept_names
from lumina_core.training.optimizer import Optimizers

NUM_KEPT_STATES = 2  # newest checkpoints of a run that keep their training state


def drop_old_training_states(folders: list[Path]) -> None:
    """Delete the training state of all but the newest checkpoints, which stay whole otherwise.

    Behind a link nothing is deleted: that may be an archive.

    Args:
        folders: checkpoints of one run, the oldest first.
    """
    for folder in folders[:-NUM_KEPT_STATES]:
        if not (folder.is_symlink() or folder.parent.is_symlink()):
            (folder / TRAINING).unlink(missing_ok=True)


def training_state(
    model: nn.Module, average: nn.Module, optimizer: Optimizers
) -> dict[str, Tensor]:
    """Everything of a run that its seed and step do not give, as named tensors."""
    names = kept_names(model)
    state = {f"model.{k}": v for k, v in model.state_dict().items() if k in names}
    state |= {f"average.{k}": v for k, v in average.state_dict().items() if k in names}
    for number, moments in optimizer.state_dict()["state"].items():
        state |= {f"optimizer.{number}.{k}": v for k, v in moments.items()}
    return {k: whole(v).detach().clone().contiguous() for k, v in state.items()}


def restore_training_state(
    path: Path, model: nn.Module, average: nn.Module, optimizer: Optimizers
) -> None:
    """Set model, average and optimizer to a saved state, strictly.

    Raises:
        LuminaError: the file is missing or does not fit.
    """
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
    moments: dict[int, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118, no mapping
                part, name = key.split(".", 1)
                # a copy: a tensor inside the file lies at odd addresses, where kernels round
                # differently, and a resumed run would part from an uninterrupted one
                parts[part][name] = file.get_tensor(key).clone()
        for key, value in parts["optimizer"].items():
            number, name = key.split(".", 1)
            moments.setdefault(int(number), {})[name] = value
        for network, kept in ((model, parts["model"]), (average, parts["average"])):
            if kept.keys() != kept_names(model):
                raise ValueError("it is of other weights")
            own: dict[str, Tensor] = network.state_dict()
            cut = {name: cut_as(value, own[name]) for name, value in kept.items()}
            network.load_state_dict(cut, strict=False)
        _check_moments(moments, optimizer)
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        for number, named in moments.items():
            for name, value in named.items():
                named[name] = cut_as(value, trained[number]) if value.ndim else value
        optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    except (OSError, SafetensorError, KeyError, RuntimeError, ValueError) as error:
        raise LuminaError(
            f"{path} does not fit this run: {reason_of(error)}; resume with its settings"
        ) from error


def _check_moments(moments: Mapping[int, Mapping[str, Tensor]], optimizer: Optimizers) -> None:
    """Torch takes moments of any shape; a weight without any was never updated."""
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    for number, named in moments.items():
        shapes = {tuple(value.shape) for value in named.values() if value.ndim}
        if number >= len(trained) or shapes - {tuple(trained[number].shape)}:
            raise ValueError("another optimizer, or of other weights")
