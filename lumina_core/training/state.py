"""The training state of a run as named tensors: weights, their average, the optimizer's moments.

Moments go by the names of their weights, so a state fits whatever numbers an optimizer gives them.
A state has no rank: see `checkpoints/sharded.py`. Older folders have one file, with numbers.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lumina_core.checkpoints.manifest import STATE, TRAINING
from lumina_core.checkpoints.sharded import Stored, read_state, stored_tensors
from lumina_core.errors import LuminaError, reason_of
from lumina_core.parallel.sharded import local
from lumina_core.training.adapter import kept_names
from lumina_core.training.optimizer import Optimizers

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

MODEL, AVERAGE, OPTIMIZER = "model.", "average.", "optimizer."  # how the names begin
UNFIT = (OSError, SafetensorError, LookupError, RuntimeError, ValueError)


def training_state(
    model: nn.Module, average: nn.Module, optimizer: Optimizers
) -> dict[str, Tensor]:
    """Everything of a run that its seed and step do not give, by name; nothing is copied."""
    state = _weights(model, average)
    for name, weight in model.named_parameters():
        moments = optimizer.state_of(weight)
        state |= {f"{OPTIMIZER}{name}.{moment}": value for moment, value in moments.items()}
    return {name: value.detach() for name, value in state.items()}


def _weights(model: nn.Module, average: nn.Module) -> dict[str, Tensor]:
    """What a run goes on with, each once: of a weight that two layers share the first name."""
    found: dict[str, Tensor] = {}
    kept = kept_names(model)
    for start, module in ((MODEL, model), (AVERAGE, average)):
        first: dict[int, str] = {}
        for name, value in module.state_dict(keep_vars=True).items():
            if name in kept and first.setdefault(id(value), name) == name:
                found[f"{start}{name}"] = value
    return found


class Copy:
    """A copy of a state in the memory of the CPU, which the next one overwrites.

    It keeps its place: to take new memory for it costs several times as much as to copy.
    """

    def __init__(self) -> None:
        self._tensors: dict[str, Tensor] = {}

    @torch.no_grad()
    def of(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Copy each tensor, of a DTensor the part of this rank."""
        for name in self._tensors.keys() - state.keys():
            del self._tensors[name]
        for name, tensor in state.items():
            if name in self._tensors:
                local(self._tensors[name]).copy_(local(tensor))
            else:
                self._tensors[name] = tensor.to("cpu", copy=True).contiguous()
        return self._tensors


def restore_training_state(
    folder: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: Optimizers,
    group: "ProcessGroup | None" = None,
) -> None:
    """Set model, average and optimizer to the saved state of a checkpoint, strictly.

    Args:
        folder: the checkpoint.
        model: of the run.
        average: of the run.
        optimizer: of the run, which has done no step.
        group: all ranks, on the CPU; None: this process is alone.

    Raises:
        LuminaError: the state is missing or does not fit.
    """
    path = folder / STATE
    try:
        if path.exists():
            _restore(path, model, average, optimizer, group)
        else:
            path = folder / TRAINING
            if group is not None:
                raise ValueError("it is of one process; go on with one until its next checkpoint")
            _restore_numbered(path, model, average, optimizer)
    except UNFIT as error:
        raise LuminaError(
            f"{path} does not fit this run: {reason_of(error)}; resume with its settings"
        ) from error


def _restore(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: Optimizers,
    group: "ProcessGroup | None",
) -> None:
    into = _weights(model, average)
    weights = dict(model.named_parameters())
    for key, stored in stored_tensors(path).items():
        if key in into:
            continue
        name, _, moment = key.removeprefix(OPTIMIZER).rpartition(".")
        if not key.startswith(OPTIMIZER) or name not in weights:
            raise ValueError(f"{key} has no place in it")
        into[key] = optimizer.state_of(weights[name])[moment] = _empty(key, weights[name], stored)
    read_state(path, {name: value.detach() for name, value in into.items()}, group)


def _empty(key: str, weight: Tensor, stored: Stored) -> Tensor:
    """A place for a moment: one number, or cut as its weight."""
    if not stored.shape:
        return torch.zeros((), dtype=stored.dtype, device=weight.device)
    if stored.shape != weight.shape:
        raise ValueError(f"{key} has another shape than its weight")
    return torch.zeros_like(weight, dtype=stored.dtype, requires_grad=False)


def _restore_numbered(
    path: Path, model: nn.Module, average: nn.Module, optimizer: Optimizers
) -> None:
    """From one file, which numbers the weights of the optimizer in its order."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}}
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    for key, value in _tensors_of(path):
        part, name = key.split(".", 1)
        if f"{part}." != OPTIMIZER:
            parts[part][name] = value
            continue
        number, moment = name.split(".", 1)
        weight = trained[int(number)]
        if value.ndim and value.shape != weight.shape:
            raise ValueError("another optimizer, or of other weights")
        optimizer.state_of(weight)[moment] = value.to(weight.device)
    for network, kept in ((model, parts["model"]), (average, parts["average"])):
        if kept.keys() != kept_names(model):
            raise ValueError("it is of other weights")
        network.load_state_dict(kept, strict=False)


def _tensors_of(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a file.

    Each is a copy: one inside the file lies at an odd address, where kernels round differently,
    and a resumed run would part from an uninterrupted one.
    """
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118, no mapping
            yield key, file.get_tensor(key).clone()
