"""A transformer of diffusers as the velocity network of a flow over packed sequences.

Samples of one size go through it in one dense call, whatever else the batch holds. Time: ours t = 0
is noise and t = 1 data; theirs is sigma = 1 - t, times a scale. Velocity: ours is data less noise,
theirs most often the negative. What one family needs beyond that stands in its own file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, make_dataclass
from inspect import signature
from math import isfinite
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

from lumina_core import Grid, LuminaError
from lumina_core.autoencoder.networks import is_true
from lumina_core.backbone.network import PackagedNetwork
from lumina_core.errors import MAX_NAME, printable
from lumina_core.flow.scheduler import SCHEDULER, solver_of_scheduler
from lumina_core.records import build, shown
from lumina_core.sequence import TokenBatch, unpack

TRANSFORMER = "transformer"
MAX_SIZE = 1 << 17  # of a config: by some of its numbers tables are made; those released stay below
FLOW_OF_UNIPC = {
    "use_flow_sigmas": True,
    "prediction_type": "flow_prediction",
    "use_dynamic_shifting": False,
}
"""What UniPC has to say of itself, or it takes something else than our velocity and times."""
FIRST_VALUES = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn)
"""Of what weights are made of before they are read."""


@dataclass(frozen=True)
class Group:
    """Samples of one batch that go through the network in one dense call."""

    latent: Float[Tensor, "sample channel frame row column"]
    time: Float[Tensor, "sample patch"]
    """Our t of every patch; 1 where it is given."""
    texts: Sequence[Float[Tensor, "_text text_dim"]]
    """Features of each sample's text, of its own tokens alone."""
    grid: Grid
    features: Float[Tensor, "sample patch feature"]
    """What the modality says of each patch's frame, such as its rate; may have no columns."""


@dataclass(frozen=True)
class Context:
    """What a request needs at every step: the features of each sample's text."""

    texts: tuple[Tensor, ...]


class DiffusersNetwork(PackagedNetwork):
    """One modality, one transformer, and maybe further networks beside it.

    A family overrides `inputs`, and whatever of the rest is not as the defaults have it.
    """

    class_name: ClassVar[str]
    """In diffusers, of `transformer`."""
    pipelines: ClassVar[tuple[str, ...]] = ()
    """Of diffusers, that sample as is done here; others make something else of the same network.
    Empty: all do."""
    classes: ClassVar[Mapping[str, str]] = {}
    """In diffusers, by the folders that a model must have beside `transformer`."""
    text_key: ClassVar[str | None] = None
    """Of the config: the width of the features of texts; None: of any width."""
    max_text: ClassVar[int]
    """Tokens to which texts are filled with zeros."""
    batches_texts: ClassVar[bool] = True
    """Whether texts of different lengths may share a call."""
    scale: ClassVar[float] = 1000.0
    """Of sigma, for the time that the transformer takes."""
    sign: ClassVar[float] = -1.0
    """Of what the transformer makes, times data less noise."""

    roles: ClassVar[Mapping[str, str]] = {
        "text": r"\.attn2\.|text_embedder\.|caption_projection\.",
        "attention": r"\.attn1\.",
        "feed_forward": r"\.ffn?\.",
        "modulation": r"\.time_|scale_shift_table$",
        "projections": r"^\w+\.(patch_embedding|proj_in|proj_out)\.",
        "norms": r"\.norm",
    }
    """As in PackagedNetwork, by the names that most classes have."""

    streams = True
    """As in PackagedNetwork: diffusers iterates over its blocks."""

    transformer: Any
    """The main network."""

    def __init__(
        self, about: Mapping[str, Any], parts: Mapping[str, nn.Module], tokenizer: Any
    ) -> None:
        """Keep them.

        Args:
            about: of the manifest.
            parts: networks by their folder, `transformer` among them.
            tokenizer: of the modality.
        """
        super().__init__()
        self.about = about
        self.tokenizer = tokenizer
        for name, part in parts.items():
            self.add_module(name, part)

    @classmethod
    def part_class(cls, folder: str) -> Any:
        """The class of what a folder holds; no config names one."""
        import diffusers

        return getattr(diffusers, cls.classes.get(folder, cls.class_name))

    @classmethod
    def made(cls, about: Mapping[str, Any], tokenizer: Any) -> "DiffusersNetwork":
        """As in PackagedNetwork."""
        with _Unallocated(), _quiet():
            parts = {
                folder: cls.part_class(folder).from_config(_checked(config, cls.part_class(folder)))
                for folder, config in about["configs"].items()
            }
        network = cls(about, parts, tokenizer)
        stored = network.state_dict().keys()
        if lost := [k for k, v in network.named_buffers() if v.is_meta and k not in stored]:
            raise ValueError(f"its table {lost[0]} has no values; this version of diffusers is new")
        return network

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork; those of a family begin with it."""
        pipeline = about["pipeline"].get("_class_name")
        if cls.pipelines and pipeline not in (None, *cls.pipelines):
            raise LuminaError(
                f"this model is for {printable(str(pipeline), MAX_NAME)}, which samples otherwise "
                f"than is done here; use one for {' or '.join(cls.pipelines)}"
            )
        for folder in cls.classes.keys() - about["configs"].keys():
            raise LuminaError(f"{folder} is missing beside it; copy the whole folder again")
        return {}

    @classmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """As in PackagedNetwork; UniPC becomes Euler on its shift."""
        name = scheduler.get("_class_name")
        if name != "UniPCMultistepScheduler":
            return solver_of_scheduler(scheduler), []
        for key, wanted in FLOW_OF_UNIPC.items():
            if scheduler.get(key, False) != wanted:
                raise LuminaError(
                    f"the scheduler is UniPC with {key}={shown(scheduler.get(key))}; "
                    f"{shown(wanted)} is read"
                )
        euler = {"_class_name": SCHEDULER, "shift": scheduler.get("flow_shift", 1.0)}
        same = ("num_train_timesteps", "shift_terminal")
        euler |= {key: scheduler[key] for key in same if key in scheduler}
        solver = solver_of_scheduler(euler)
        shift = solver["shift"]
        return solver, [
            f"the model names UniPC; it is sampled by Euler with its shift {shift:g}, and by UniPC "
            "with solver.name=unipc"
        ]

    @property
    def text_dim(self) -> int | None:
        """As in Network."""
        return None if self.text_key is None else int(self.transformer.config[self.text_key])

    def to(self, device: Any = None, dtype: torch.dtype | None = None) -> "DiffusersNetwork":  # type: ignore[override]
        """Move and cast, weight by weight, but for weights that their class keeps in float32.

        Tables that no file holds keep their type: they are computed in a wider one.
        """
        stored = self.state_dict().keys()
        for folder, part in self.named_children():
            kept = set(getattr(part, "_keep_in_fp32_modules", None) or ())

            def moved(value: Tensor, name: str, kept: set[str] = kept) -> Tensor:
                wanted = dtype if name in stored and value.is_floating_point() else None
                if wanted is not None and kept.intersection(name.split(".")):
                    wanted = torch.float32
                return value.to(device=device, dtype=wanted)

            for name, weight in part.named_parameters(prefix=folder):
                weight.data = moved(weight.data, name)
            for place, module in part.named_modules(prefix=folder):
                for name, table in list(module.named_buffers(recurse=False)):
                    setattr(module, name, moved(table, f"{place}.{name}"))
        return self

    def prepare(
        self, batch: TokenBatch, text: Tensor, text_lengths: Sequence[int], **ways: Any
    ) -> Context:
        """As in Network."""
        if len(text_lengths) != batch.num_samples:
            raise ValueError(f"one text per sample is expected, got {list(text_lengths)}")
        return Context(tuple(text.split(list(text_lengths))))

    def forward(self, batch: TokenBatch, segment_time: Tensor, context: Context) -> Tensor:
        """As in Network."""
        tokens = unpack(batch)
        lengths = list(batch.lengths)
        times = segment_time[batch.segment_index].split(lengths)
        features = batch.segment_features[batch.segment_index].split(lengths)
        keys = [
            (grid, None if self.batches_texts else len(text), self.group_key(time))
            for grid, text, time in zip(batch.grids, context.texts, times, strict=True)
        ]
        found: list[Tensor] = [batch.state] * len(tokens)
        for key in dict.fromkeys(keys):
            members = [number for number, each in enumerate(keys) if each == key]
            group = Group(
                torch.stack([self.tokenizer.detokenize(tokens[n], key[0]) for n in members]),
                torch.stack([times[n] for n in members]),
                [context.texts[n] for n in members],
                key[0],
                torch.stack([features[n] for n in members]),
            )
            for number, latent in zip(members, self.velocity(group).float(), strict=True):
                found[number] = self.tokenizer.tokenize(latent).flatten()
        return torch.cat(found)

    def recompute(self) -> None:
        """As in Network."""
        if not self.transformer._supports_gradient_checkpointing:
            super().recompute()  # refuses it
        part: Any
        for part in self.children():
            if part._supports_gradient_checkpointing:
                part.enable_gradient_checkpointing()

    def group_key(self, time: Float[Tensor, "patch"]) -> Any:
        """What samples must have alike to share a call, beside their size; of any value."""
        return None

    def velocity(self, group: Group) -> Float[Tensor, "sample channel frame row column"]:
        """Data less noise, from what the transformer makes of the group."""
        made = self.transformer(**self.inputs(group), return_dict=False)[0]
        return self.sign * self.output(made, group)

    def inputs(self, group: Group) -> dict[str, Any]:
        """Keyword arguments of the transformer."""
        raise NotImplementedError

    def output(self, made: Tensor, group: Group) -> Tensor:
        """What the transformer returns, as (sample, channel, frame, row, column)."""
        return made

    def sigma(self, group: Group, *, per_patch: bool = False) -> Tensor:
        """The time that the transformer takes: one per sample where its patches share it.

        Args:
            group: the samples.
            per_patch: one per patch in any case.
        """
        sigma = self.scale * (1 - group.time)
        is_shared = not per_patch and is_true((sigma == sigma[:, :1]).all(), planned=True)
        return sigma[:, 0] if is_shared else sigma


def padded(
    texts: Sequence[Float[Tensor, "_text text_dim"]], length: int, dtype: torch.dtype
) -> tuple[Float[Tensor, "sample text text_dim"], Bool[Tensor, "sample text"]]:
    """Texts with zeros behind them, and which places are text.

    Args:
        texts: features of each.
        length: of all; longer texts are cut.
        dtype: of the result.
    """
    rows = torch.stack([pad(text, (0, 0, 0, length - len(text))) for text in texts])
    lengths = torch.tensor([len(text) for text in texts])
    valid = torch.arange(length) < lengths[:, None]
    return rows.to(dtype), valid.to(rows.device)


def config_of(about: Mapping[str, Any], class_name: str) -> dict[str, Any]:
    """The config of `transformer`, with the defaults of its class for what it leaves out.

    Raises:
        LuminaError: a value is none that its class takes.
    """
    import diffusers

    return _checked(about["configs"][TRANSFORMER], getattr(diffusers, class_name))


def _checked(config: Mapping[str, Any], made_by: type) -> dict[str, Any]:
    """A config with the defaults of a class, each other value of the type that this declares."""
    found = signature(made_by, eval_str=True).parameters.values()
    arguments = [each for each in found if each.default is not each.empty]
    usual = {each.name: each.default for each in arguments}
    given = {key: config[key] for key in usual.keys() & config.keys() if config[key] != usual[key]}
    kinds = [(each.name, each.annotation, None) for each in arguments]
    build(make_dataclass(made_by.__name__, kinds), given)
    for key, value in given.items():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not 0 <= number <= MAX_SIZE:
                raise LuminaError(f"{key} is {shown(value)}; 0 to {MAX_SIZE} is read")
            if isinstance(number, float) and not isfinite(number):
                raise LuminaError(f"{key} is {shown(value)}; a finite number is read")
    return {**usual, **config}


class _Unallocated(TorchFunctionMode):
    """What weights are made of takes no memory; tables are computed as ever."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        words = dict(kwargs or {})
        if function in FIRST_VALUES:
            words["device"] = "meta"
        return function(*args, **words)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what diffusers logs about configs, which read_network refuses or not."""
    from diffusers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
