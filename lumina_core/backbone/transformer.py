"""Flag-DiT: a flow-based diffusion transformer over packed 1-D sequences.

The block as released with Lumina-T2X (Alpha-VLLM/Lumina-T2X, lumina_t2i): RMSNorm, adaLN,
LayerNorm over the full width of q and k, RoPE, gated cross-attention to text that shares the
rotated q, SwiGLU and grouped key heads. Axis names are those of docs/inside/axes.md.

Departures: sequences are packed, so there is no padding token; [nextframe] joins [nextline]; each
modality has its own input and output projection; modulation belongs to a segment, not to a sample;
everything that depends on neither x nor t is computed once, by `prepare`; nothing is written onto
the module during a call.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log
from typing import cast

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from lumina_core.backbone.attention import attend
from lumina_core.backbone.rope import RopeTables, Table, rope_tables, rotate, table_at
from lumina_core.backbone.settings import NO_SCALING, BackboneConfig, RopeScaling
from lumina_core.sequence import TokenBatch, split_spans

TIME_CHANNELS = 256  # width of the sinusoid, as released
TIME_PERIOD = 10_000  # longest period of the sinusoid, as released
FINAL_NORM_EPS = 1e-6  # the released final LayerNorm; the other norms take norm_eps
INITIAL_STD = 0.02  # time MLP and separators, as released


@dataclass(frozen=True)
class Context:
    """What a request needs at every step and computes once."""

    keys: tuple[Float[Tensor, "text kv_head channel"], ...]
    """Text keys of each block."""
    values: tuple[Float[Tensor, "text kv_head channel"], ...]
    text_lengths: tuple[int, ...]
    pooled: Float[Tensor, "sample condition"]
    tables: RopeTables
    query_scale: Float[Tensor, "position 1 1"] | None
    """Proportional attention: factor on q in self-attention."""
    attention: str
    """Backend of `attend`."""


class TimeEmbedding(nn.Module):
    """t in [0, 1] -> sinusoid [cos, sin] -> Linear, SiLU, Linear."""

    def __init__(self, condition_dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(TIME_CHANNELS, condition_dim)
        self.out = nn.Linear(condition_dim, condition_dim)

    def forward(self, time: Float[Tensor, "segment"]) -> Float[Tensor, "segment condition"]:
        """Embed the time of each segment; frequency k is exp(-ln(10000) k / 128), in float32."""
        half = TIME_CHANNELS // 2
        exponent = torch.arange(half, device=time.device).float() / half
        angle = time.float()[:, None] * torch.exp(-log(TIME_PERIOD) * exponent)
        wave = torch.cat([angle.cos(), angle.sin()], dim=-1).to(self.hidden.weight.dtype)
        return self.out(functional.silu(self.hidden(wave)))


class Attention(nn.Module):
    """Self-attention and gated cross-attention to text, sharing the rotated q and the output."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width, kv_width = config.hidden_size, config.kv_heads * config.head_dim
        self.config = config
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, kv_width, bias=False)
        self.wv = nn.Linear(width, kv_width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)
        self.text_norm = nn.RMSNorm(config.text_dim, config.norm_eps)
        self.text_wk = nn.Linear(config.text_dim, kv_width, bias=False)
        self.text_wv = nn.Linear(config.text_dim, kv_width, bias=False)
        self.gate = nn.Parameter(torch.empty(config.num_heads))

        def norm(size: int) -> nn.Module:
            return nn.LayerNorm(size, config.norm_eps) if config.qk_norm else nn.Identity()

        self.q_norm, self.k_norm, self.text_k_norm = norm(width), norm(kv_width), norm(kv_width)

    def text_keys_values(self, text: Float[Tensor, "text text_dim"]) -> tuple[Tensor, Tensor]:
        """Keys and values of the text, which carry no position."""
        text = self.text_norm(text)
        k, v = self.text_k_norm(self.text_wk(text)), self.text_wv(text)
        return self._heads(k), self._heads(v)

    def _heads(self, x: Float[Tensor, "length width"]) -> Float[Tensor, "length head channel"]:
        return rearrange(x, "l (h c) -> l h c", c=self.config.head_dim)

    def forward(
        self,
        x: Float[Tensor, "position hidden"],
        table: Table,
        context: Context,
        text: tuple[Tensor, Tensor],
        lengths: Sequence[int],
    ) -> Float[Tensor, "position hidden"]:
        """wo(self-attention + tanh(gate) * cross-attention), gate one number per head.

        Args:
            x: modulated tokens.
            table: rotation of each position.
            context: text lengths, the proportional factor and the backend.
            text: this block's text keys and values.
            lengths: positions of each sample.
        """
        q = rotate(self._heads(self.q_norm(self.wq(x))), table)
        k = rotate(self._heads(self.k_norm(self.wk(x))), table)
        v = self._heads(self.wv(x))
        backend = context.attention
        scaled = q if context.query_scale is None else q * context.query_scale.type_as(q)
        own = attend(scaled, k, v, query_lengths=lengths, key_lengths=lengths, backend=backend)
        cross = attend(
            q, *text, query_lengths=lengths, key_lengths=context.text_lengths, backend=backend
        )
        return self.wo((own + torch.tanh(self.gate)[:, None] * cross).flatten(1))


class FeedForward(nn.Module):
    """SwiGLU: w2(silu(w1 x) * w3 x)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(config.hidden_size, config.ffn_dim, bias=False)
        self.w2 = nn.Linear(config.ffn_dim, config.hidden_size, bias=False)
        self.w3 = nn.Linear(config.hidden_size, config.ffn_dim, bias=False)

    def forward(self, x: Float[Tensor, "position hidden"]) -> Float[Tensor, "position hidden"]:
        """Apply to each position alone."""
        return self.w2(functional.silu(self.w1(x)) * self.w3(x))


class Block(nn.Module):
    """x += gate * Attention(modulated norm of x); x += gate * FeedForward(modulated norm of x)."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.attention_norm = nn.RMSNorm(width, config.norm_eps)
        self.attention = Attention(config)
        self.ffn_norm = nn.RMSNorm(width, config.norm_eps)
        self.feed_forward = FeedForward(config)
        # shift, scale and gate for attention, then for the feed-forward layer
        self.modulation = nn.Linear(config.condition_dim, 6 * width)

    def forward(
        self,
        x: Float[Tensor, "position hidden"],
        condition: Float[Tensor, "segment condition"],
        table: Table,
        context: Context,
        text: tuple[Tensor, Tensor],
        batch: TokenBatch,
    ) -> Float[Tensor, "position hidden"]:
        """One layer; `condition` has passed SiLU already, which is the same in every block."""
        modulation = self.modulation(condition).index_select(0, batch.segment_index)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = modulation.chunk(6, dim=-1)
        y = torch.addcmul(shift, self.attention_norm(x), 1 + scale)
        x = torch.addcmul(x, gate, self.attention(y, table, context, text, batch.lengths))
        y = torch.addcmul(ffn_shift, self.ffn_norm(x), 1 + ffn_scale)
        return torch.addcmul(x, ffn_gate, self.feed_forward(y))


class PerModality(nn.ModuleDict):
    """One layer per modality; of a modality, too, whose name is a method's, such as `values`."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Take any name: layers are only ever looked up in square brackets."""
        self._modules[name] = cast(nn.Module, module)


class Backbone(nn.Module):
    """The backbone: velocity of every token of a packed batch, given time and text."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width, condition = config.hidden_size, config.condition_dim
        halves = 2 if config.learn_sigma else 1
        self.config = config
        self.inputs = PerModality({m: nn.Linear(n, width) for m, n in config.token_dims.items()})
        self.outputs = PerModality(
            {m: nn.Linear(width, halves * n) for m, n in config.token_dims.items()}
        )
        self.features = PerModality(
            {m: nn.Linear(n, condition, bias=False) for m, n in config.feature_dims.items()}
        )
        self.time_embedding = TimeEmbedding(condition)
        self.pooled_norm = nn.LayerNorm(config.text_dim, config.norm_eps)
        self.pooled_linear = nn.Linear(config.text_dim, condition)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.final_norm = nn.LayerNorm(width, FINAL_NORM_EPS, elementwise_affine=False)
        self.final_modulation = nn.Linear(condition, 2 * width)
        if config.separators:
            self.nextline = nn.Parameter(torch.empty(width))
            self.nextframe = nn.Parameter(torch.empty(width))
        if self.final_modulation.weight.device.type != "meta":
            self.initialise()

    @torch.no_grad()
    def initialise(self) -> None:
        """Set every weight as released; a fresh model predicts velocity 0.

        | weight | value |
        |---|---|
        | attention, feed-forward, input projections | xavier-uniform |
        | time MLP, separators | N(0, 0.02) |
        | adaLN, final modulation, output projections, pooled text, features, every bias | 0 |
        | norms | 1, bias 0 |
        | cross-attention gates | initial_gate |
        """
        blocks = [cast(Block, block) for block in self.blocks]
        zero = {*self.outputs.values(), *self.features.values(), *(b.modulation for b in blocks)}
        zero |= {self.final_modulation, self.pooled_linear}
        if self.config.separators:
            nn.init.normal_(self.nextline, std=INITIAL_STD)
            nn.init.normal_(self.nextframe, std=INITIAL_STD)
        for module in self.modules():  # in this order, for it decides what a seed draws
            if isinstance(module, nn.LayerNorm | nn.RMSNorm):
                module.reset_parameters()
            elif isinstance(module, Attention):
                module.gate.fill_(self.config.initial_gate)
            elif isinstance(module, nn.Linear):
                if module in zero:
                    nn.init.zeros_(module.weight)
                elif module in (self.time_embedding.hidden, self.time_embedding.out):
                    nn.init.normal_(module.weight, std=INITIAL_STD)
                else:
                    nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def prepare(
        self,
        batch: TokenBatch,
        text: Float[Tensor, "text text_dim"],
        text_lengths: Sequence[int],
        *,
        scaling: RopeScaling = NO_SCALING,
        proportional_base: int | None = None,
        attention: str = "auto",
    ) -> Context:
        """Compute once what depends on neither x nor t.

        Args:
            batch: gives lengths and positions.
            text: features of the samples' texts, end to end.
            text_lengths: features of each sample, at least 1.
            scaling: RoPE scaling for sizes that were never trained.
            proportional_base: sequence length for which proportional attention is neutral; q is
                scaled by sqrt(log(length) / log(base)) in self-attention. None: off.
            attention: backend, as `attend` takes it.
        """
        if len(text_lengths) != batch.num_samples or min(text_lengths) < 1:
            raise ValueError(f"one text per sample is expected, got lengths {list(text_lengths)}")
        config = self.config
        text = text.to(self.pooled_linear.weight.dtype)
        blocks = [cast(Block, block) for block in self.blocks]
        pairs = [block.attention.text_keys_values(text) for block in blocks]
        return Context(
            keys=tuple(k for k, _ in pairs),
            values=tuple(v for _, v in pairs),
            text_lengths=tuple(text_lengths),
            pooled=self.pooled_linear(self.pooled_norm(_mean_of_each(text, text_lengths))),
            tables=rope_tables(
                batch, theta=config.rope_theta, dims=config.axis_dims, scaling=scaling
            ),
            query_scale=_query_scale(batch, proportional_base),
            attention=attention,
        )

    def forward(
        self, batch: TokenBatch, segment_time: Float[Tensor, "segment"], context: Context
    ) -> Float[Tensor, "element"]:
        """Velocity of the state.

        Args:
            batch: packed with separators as `config.separators` says.
            segment_time: time of each segment in [0, 1].
            context: from `prepare` for a batch of the same layout.

        Returns:
            float32, shaped as the state.
        """
        pooled = context.pooled.index_select(0, batch.segment_sample)
        condition = self.time_embedding(segment_time) + pooled
        if self.features:
            condition = condition + self._features(batch)
        condition = functional.silu(condition)
        table = table_at(context.tables, segment_time[batch.segment_index])
        x = self._embed(batch)
        for block, k, v in zip(self.blocks, context.keys, context.values, strict=True):
            x = block(x, condition, table, context, (k, v), batch)
        modulation = self.final_modulation(condition).index_select(0, batch.segment_index)
        shift, scale = modulation.chunk(2, dim=-1)
        x = torch.addcmul(shift, self.final_norm(x), 1 + scale).index_select(0, batch.content_index)
        parts = x.split([span.num_patches for span in batch.spans])
        velocity = [
            self.outputs[span.modality](part)[:, : span.token_dim].flatten()
            for span, part in zip(batch.spans, parts, strict=True)
        ]
        return torch.cat(velocity).float()  # the solver's state is float32

    def _features(self, batch: TokenBatch) -> Float[Tensor, "segment condition"]:
        """What conditions the segments of each modality beside time and text."""
        parts = batch.segment_features.split([span.num_segments for span in batch.spans])
        found = []
        for span, part in zip(batch.spans, parts, strict=True):
            if span.modality in self.features:
                linear = cast(nn.Linear, self.features[span.modality])
                found.append(linear(part[:, : linear.in_features].to(linear.weight.dtype)))
            else:
                found.append(
                    self.pooled_linear.weight.new_zeros(len(part), self.config.condition_dim)
                )
        return torch.cat(found)

    def _embed(self, batch: TokenBatch) -> Float[Tensor, "position hidden"]:
        """Project each modality's tokens and set separators between them."""
        dtype = self.pooled_linear.weight.dtype
        tokens = [
            self.inputs[span.modality](part.to(dtype))
            for span, part in zip(batch.spans, split_spans(batch), strict=True)
        ]
        if self.config.separators:
            tokens += [self.nextline[None], self.nextframe[None]]
        # under autocast projected tokens are half as wide as separators: what runs from block to
        # block has the dtype of the weights with and without these
        return torch.cat(tokens).to(dtype).index_select(0, batch.source)


def block_matrices(networks: nn.Module) -> Iterator[nn.Parameter]:
    """The matrices of the attention and feed-forward layers of backbones, whatever their names."""
    for module in networks.modules():
        if isinstance(module, Attention | FeedForward):
            yield from (weight for weight in module.parameters() if weight.ndim > 1)


def _mean_of_each(
    text: Float[Tensor, "text text_dim"], lengths: Sequence[int]
) -> Float[Tensor, "sample text_dim"]:
    counts = torch.tensor(list(lengths), device=text.device)
    sample_of: Int[Tensor, "text"] = torch.repeat_interleave(counts, output_size=len(text))
    # CUDA adds in the dtype of the sum, and in float16 that of a long text overflows
    wide = text.to(torch.promote_types(text.dtype, torch.float32))
    total = wide.new_zeros(len(lengths), text.shape[1]).index_add(0, sample_of, wide)
    return (total / counts[:, None]).to(text.dtype)


def _query_scale(batch: TokenBatch, base: int | None) -> Float[Tensor, "position 1 1"] | None:
    """sqrt(log_base(length)) per position."""
    if base is None:
        return None
    lengths = torch.tensor(batch.lengths, device=batch.state.device)
    scale = (lengths.float().log() / log(base)).sqrt()
    return scale.repeat_interleave(lengths, output_size=sum(batch.lengths))[:, None, None]
