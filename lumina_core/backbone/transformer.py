"""The backbone: a flow-based diffusion transformer over packed 1-D sequences.

Text enters by gated cross-attention and its mean (Flag-DiT, Next-DiT), in the same sequence behind
refiners (Lumina-Image-2.0, Z-Image), or as the number of a class. What decides is in
`settings.BackboneConfig`; the block itself is in block.py.

Departures from the released models: sequences are packed, so no sample is padded to another;
[nextframe] joins [nextline]; each modality has its own input and output projection; modulation
belongs to a segment, not to a sample; everything that depends on neither x nor t is computed once,
by `prepare`, refined text included; nothing is written onto the module during a call.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import log
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from lumina_core.backbone.block import Attention, Block, FeedForward, KeysValues, Run
from lumina_core.backbone.context import (
    Context,
    JointText,
    own_rows,
    split_elements,
    split_patches,
    within,
)
from lumina_core.backbone.joint_text import joint_layout
from lumina_core.backbone.modulation import Modulation
from lumina_core.backbone.network import Network
from lumina_core.backbone.regions import Regions, readers_of
from lumina_core.backbone.roles import role_of
from lumina_core.backbone.rope import positions_of, rope_tables, table_at
from lumina_core.backbone.settings import (
    CROSS,
    JOINT,
    LABEL,
    NO_SCALING,
    BackboneConfig,
    RopeScaling,
)
from lumina_core.errors import LuminaError
from lumina_core.parallel.exchange import completed, gathered
from lumina_core.sequence import TokenBatch, TokenSample, pack, sent, split_spans

TIME_CHANNELS = 256  # width of the sinusoid, as released
TIME_PERIOD = 10_000  # longest period of the sinusoid, as released
FINAL_NORM_EPS = 1e-6  # the released final LayerNorm; the other norms take norm_eps
INITIAL_STD = 0.02  # time MLP, separators, pads and labels, as released


class TimeEmbedding(nn.Module):
    """t in [0, 1], times a factor -> sinusoid [cos, sin] -> Linear, SiLU, Linear."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.scale = config.time_scale
        self.hidden = nn.Linear(TIME_CHANNELS, config.time_dim)
        self.out = nn.Linear(config.time_dim, config.condition_dim)

    def forward(self, time: Float[Tensor, "segment"]) -> Float[Tensor, "segment condition"]:
        """Embed the time of each segment; frequency k is exp(-ln(10000) k / 128), in float32."""
        half = TIME_CHANNELS // 2
        exponent = torch.arange(half, device=time.device).float() / half
        scaled = time.float() * self.scale
        angle = scaled[:, None] * torch.exp(-log(TIME_PERIOD) * exponent)
        wave = torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.hidden.weight.dtype)
        return self.out(functional.silu(self.hidden(wave)))


class PerModality(nn.ModuleDict):
    """One layer per modality; of a modality, too, whose name is a method's, such as `values`."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Take any name: layers are only ever looked up in square brackets."""
        self._modules[name] = cast(nn.Module, module)


class Backbone(Network):
    """Velocity of every token of a packed batch, given time and text."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width, condition = config.hidden_size, config.condition_dim
        halves = 2 if config.learn_sigma else 1
        self.config = config
        self.recomputes = False
        """Whether blocks keep their inputs alone for gradients and compute once more."""
        self.inputs = PerModality({m: nn.Linear(n, width) for m, n in config.token_dims.items()})
        self.outputs = PerModality(
            {m: nn.Linear(width, halves * n) for m, n in config.token_dims.items()}
        )
        self.features = PerModality(
            {m: nn.Linear(n, condition, bias=False) for m, n in config.feature_dims.items()}
        )
        self.time_embedding = TimeEmbedding(config)
        if config.text == CROSS:
            self.pooled_norm = nn.LayerNorm(config.text_dim, config.norm_eps)
            self.pooled_linear = nn.Linear(config.text_dim, condition)
        elif config.text == JOINT:
            self.text_norm = nn.RMSNorm(config.text_dim, config.norm_eps)
            self.text_linear = nn.Linear(config.text_dim, width)
            self.text_refiners, self.token_refiners = (
                nn.ModuleList(Block(config, is_modulated=own) for _ in range(config.refiners))
                for own in (False, True)
            )
        else:
            # the last row stands for no class
            self.labels = nn.Embedding(cast(int, config.num_classes) + 1, condition)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_norm = nn.LayerNorm(width, FINAL_NORM_EPS, elementwise_affine=False)
        self.final_modulation = nn.Linear(condition, (1 + config.final_shift) * width)
        if config.separators:
            self.nextline = nn.Parameter(torch.empty(width))
            self.nextframe = nn.Parameter(torch.empty(width))
        if config.pad_multiple > 1:
            self.token_pad = nn.Parameter(torch.empty(1, width))
            self.text_pad = nn.Parameter(torch.empty(1, width))
        if self.final_modulation.weight.device.type != "meta":
            self.initialise()

    @property
    def separators(self) -> bool:
        """As in Network."""
        return self.config.separators

    @property
    def time_scale(self) -> float:
        """As in Network."""
        return self.config.time_scale

    @property
    def text_dim(self) -> int:
        """As in Network."""
        return self.config.text_dim

    @property
    def feature_dims(self) -> Mapping[str, int]:
        """As in Network."""
        return self.config.feature_dims

    @property
    def described(self) -> dict[str, Any]:
        """As in Network."""
        of_modalities = ("token_dims", "feature_dims")
        return {k: v for k, v in asdict(self.config).items() if k not in of_modalities}

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """As in Network."""
        return self.config.hidden_size, self.config.ffn_dim

    def role_of(self, name: str) -> str:
        """As in Network."""
        return role_of(name)

    def recompute(self) -> None:
        """As in Network."""
        self.recomputes = True

    @property
    def dtype(self) -> torch.dtype:
        """Of what runs from block to block."""
        return self.final_modulation.weight.dtype

    @torch.no_grad()
    def initialise(self) -> None:
        """Set every weight as released; a fresh model predicts velocity 0.

        | weight | value |
        |---|---|
        | attention, feed-forward, input projections, text in the sequence | xavier-uniform |
        | time MLP, separators, pads, labels | N(0, 0.02) |
        | adaLN, final modulation, output projections, pooled text, features, every bias | 0 |
        | norms | 1, bias 0 |
        | cross-attention gates | initial_gate |
        """
        blocks = [module for module in self.modules() if isinstance(module, Block)]
        zero: set[nn.Module | None] = {block.modulation for block in blocks}
        zero |= {*self.outputs.values(), *self.features.values(), self.final_modulation}
        if self.config.text == CROSS:
            zero.add(self.pooled_linear)
        for weight in self.parameters(recurse=False):  # separators, then pads
            nn.init.normal_(weight, std=INITIAL_STD)
        for module in self.modules():  # in this order, for it decides what a seed draws
            if isinstance(module, nn.LayerNorm | nn.RMSNorm):
                module.reset_parameters()
            elif isinstance(module, Attention) and self.config.text == CROSS:
                module.gate.fill_(self.config.initial_gate)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=INITIAL_STD)
            elif isinstance(module, nn.Linear):
                if module in zero:
                    nn.init.zeros_(module.weight)
                elif module in (self.time_embedding.hidden, self.time_embedding.out):
                    nn.init.normal_(module.weight, std=INITIAL_STD)
                else:
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def pack(self, samples: Sequence[TokenSample]) -> TokenBatch:
        """Samples end to end, as this backbone takes them; see `sequence.pack`."""
        config = self.config
        return pack(samples, separators=config.separators, multiple=config.pad_multiple)

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
    ) -> Context:
        """Compute once what depends on neither x nor t.

        Args:
            batch: from `pack`; gives lengths and positions.
            text: features of the samples' texts, end to end; of a label its number alone.
            text_lengths: features of each text, at least 1; without regions one text per sample.
            scaling: RoPE scaling for sizes that were never trained.
            proportional_base: sequence length for which proportional attention is neutral; q is
                scaled by sqrt(log(length) / log(base)) in self-attention. None: off.
            attention: backend, as `attend` takes it.
            regions: which position reads which text; with cross-attention alone.
            keeps_text: compute the keys and values of the text here, for many calls. Training
                calls once: each block computes its own, where its weights are at hand.
        """
        one_each = regions is not None or len(text_lengths) == batch.num_samples
        if not one_each or min(text_lengths) < 1:
            raise ValueError(f"one text per sample is expected, got lengths {list(text_lengths)}")
        config, device, cross = self.config, batch.state.device, tuple(text_lengths)
        if regions is not None and config.text != CROSS:
            raise ValueError(f"regions need text=cross, and the backbone has text={config.text}")
        readers = None if regions is None else readers_of(regions.text_of, len(cross))

        def run(
            lengths: tuple[int, ...], segments: Tensor | None, positions: Float[Tensor, "run axis"]
        ) -> Run:
            tables = rope_tables(positions, config, scaling)
            scale = _query_scale(lengths, proportional_base, device)
            return Run(lengths, segments, tables, scale, cross, attention, readers)

        no_text: tuple[KeysValues | Tensor | None, ...] = (None,) * config.depth
        if config.text == JOINT:
            spots = joint_layout(batch, text_lengths, config)
            tokens = self.text_linear(self.text_norm(text.to(self.dtype))).to(self.dtype)
            if config.pad_multiple > 1:
                tokens = torch.cat([tokens, self.text_pad])
            tokens = tokens.index_select(0, spots.text_source)
            of_text = run(spots.text_lengths, None, spots.text_positions)
            for block in self.text_refiners:
                tokens = self._through(block, tokens, None, of_text.tables.early, of_text)
            own = run(batch.lengths, batch.segment_index, spots.own_positions)
            positions = torch.cat([spots.own_positions, spots.text_positions])[spots.order]
            whole = run(spots.lengths, spots.segment_index, positions)
            joint = JointText(tokens, spots.order, spots.places, own)
            return Context(whole, no_text, None, joint)
        own = run(batch.lengths, batch.segment_index, positions_of(batch, config.rope))
        if config.text == LABEL:
            return Context(own, no_text, self.labels(text[:, 0].long()), None)
        text = text.to(self.dtype)
        texts: tuple[KeysValues | Tensor | None, ...] = (text,) * config.depth
        if keeps_text:
            texts = tuple(  # one after the other: streamed blocks are there in turn
                cast(Block, block).attention.text_keys_values(text) for block in self.blocks
            )
        if regions is not None:
            text, text_lengths = regions.pooled.to(self.dtype), regions.pooled_lengths
        pooled = self.pooled_linear(self.pooled_norm(_mean_of_each(text, text_lengths)))
        return Context(own, texts, pooled, None)

    def forward(
        self, batch: TokenBatch, segment_time: Float[Tensor, "segment"], context: Context
    ) -> Float[Tensor, "element"]:
        """As in Network."""
        condition = self.time_embedding(segment_time)
        if context.pooled is not None:
            condition = condition + context.pooled.index_select(0, batch.segment_sample)
        if self.features:
            condition = condition + self._features(batch, condition)
        active = functional.silu(condition)
        modulating = active if self.config.modulation_silu else condition
        joint, run, x = context.joint, context.run, self._embed(batch)
        content = batch.content_index
        if joint is not None:
            table = table_at(joint.own.tables, segment_time[joint.own.segment_index])
            x = own_rows(x, joint.own.split)
            for block in self.token_refiners:
                x = self._through(block, x, modulating, table, joint.own)
            if joint.own.split is not None:
                x = gathered(x, joint.own.split)
            x = torch.cat([x, joint.tokens]).index_select(0, joint.order)
            content = joint.places.index_select(0, content)
        table = table_at(run.tables, segment_time[run.segment_index])
        x = own_rows(x, run.split)
        for block, text in zip(self.blocks, context.texts, strict=True):
            x = self._through(block, x, modulating, table, run, text)
        segments = batch.segment_index.index_select(0, batch.content_index)
        counts = [span.num_patches for span in batch.spans]
        patches = None if run.split is None else split_patches(content, run.split)
        if patches is not None and run.split is not None:
            content = content[patches.own] - run.split.own.start
            segments, counts = segments[patches.own], within(patches.own, counts)
        rows = self.final_modulation(active)
        shift_scale = rows.chunk(2, -1) if self.config.final_shift else (None, rows)
        final = Modulation(segments, *shift_scale)
        x = final.of_input(self.final_norm(x.index_select(0, content)))
        velocity = torch.cat(
            [
                self.outputs[span.modality](part)[:, : span.token_dim].flatten()
                for span, part in zip(batch.spans, x.split(counts), strict=True)
            ]
        )
        if patches is not None:
            velocity = completed(velocity, split_elements(patches, batch))
        return velocity.float()  # the solver's state is float32

    def _through(self, block: nn.Module, x: Tensor, *given: Any) -> Tensor:
        """What a block makes of x; nothing in it is random, so that it makes it a second time."""
        if not (self.recomputes and torch.is_grad_enabled()):
            return cast(Tensor, block(x, *given))
        made = checkpoint(block, x, *given, use_reentrant=False, preserve_rng_state=False)
        return cast(Tensor, made)

    def _features(
        self, batch: TokenBatch, condition: Float[Tensor, "segment condition"]
    ) -> Float[Tensor, "segment condition"]:
        """What conditions the segments of each modality beside time and text."""
        parts = batch.segment_features.split([span.num_segments for span in batch.spans])
        found = []
        for span, part in zip(batch.spans, parts, strict=True):
            if span.modality in self.features:
                linear = cast(nn.Linear, self.features[span.modality])
                found.append(linear(part[:, : linear.in_features].to(linear.weight.dtype)))
            else:
                found.append(condition.new_zeros(len(part), self.config.condition_dim))
        return torch.cat(found)

    def _embed(self, batch: TokenBatch) -> Float[Tensor, "position hidden"]:
        """Project each modality's tokens, set separators between them and pads behind them."""
        tokens = [
            self.inputs[span.modality](part.to(self.dtype))
            for span, part in zip(batch.spans, split_spans(batch), strict=True)
        ]
        if self.config.separators:
            tokens += [self.nextline[None], self.nextframe[None]]
        elif self.config.pad_multiple > 1:  # stands behind both, which are not there
            tokens.append(self.token_pad.expand(3, -1))
        # under autocast projected tokens are half as wide as separators: what runs from block to
        # block has the dtype of the weights with and without these
        return torch.cat(tokens).to(self.dtype).index_select(0, batch.source)


def own_network(network: Network) -> Backbone:
    """A network that is ours.

    Raises:
        LuminaError: it is of another package.
    """
    if not isinstance(network, Backbone):
        raise LuminaError(
            f"a {type(network).__name__} is the network of another package, which `run`, `serve` "
            "and `train adapter=lora` use; take a model of this project"
        )
    return network


def block_matrices(networks: nn.Module) -> Iterator[nn.Parameter]:
    """The matrices of the attention and feed-forward layers of backbones, whatever their names."""
    for module in networks.modules():
        if isinstance(module, Attention | FeedForward):
            yield from (weight for weight in module.parameters() if weight.ndim > 1)


def _mean_of_each(
    text: Float[Tensor, "text text_dim"], lengths: Sequence[int]
) -> Float[Tensor, "sample text_dim"]:
    counts = sent(torch.tensor(list(lengths)), text.device)
    sample_of: Int[Tensor, "text"] = torch.repeat_interleave(counts, output_size=len(text))
    # CUDA adds in the dtype of the sum, and in float16 that of a long text overflows
    wide = text.to(torch.promote_types(text.dtype, torch.float32))
    total = wide.new_zeros(len(lengths), text.shape[1]).index_add(0, sample_of, wide)
    return (total / counts[:, None]).to(text.dtype)


def _query_scale(
    lengths: Sequence[int], base: int | None, device: torch.device
) -> Float[Tensor, "position 1 1"] | None:
    """sqrt(log_base(length)) per position."""
    if base is None:
        return None
    counts = sent(torch.tensor(list(lengths)), device)
    scale = (counts.float().log() / log(base)).sqrt()
    return scale.repeat_interleave(counts, output_size=sum(lengths))[:, None, None]
