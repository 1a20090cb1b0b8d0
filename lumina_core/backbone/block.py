"""One block for every family of released models: attention, feed-forward, norms, modulation.

RMSNorm, adaLN, norm of q and k, RoPE, SwiGLU and grouped key heads; text enters by gated
cross-attention that shares the rotated q, or stands in the sequence and needs nothing here. Which
switches make which family stands in `families/`. Axis names are those of docs/inside/axes.md.

Source: Flag-DiT and Next-DiT (Alpha-VLLM/Lumina-T2X), Lumina-Image-2.0, Z-Image.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from lumina_core.backbone.attention import attend
from lumina_core.backbone.modulation import Modulation
from lumina_core.backbone.regions import Readers
from lumina_core.backbone.rope import RopeTables, Table, rotate
from lumina_core.backbone.settings import CROSS, BackboneConfig
from lumina_core.parallel.exchange import Split, own_heads, own_part, to_heads, to_positions


@dataclass(frozen=True)
class Run:
    """Positions on which blocks work, samples end to end; each sample attends to itself."""

    lengths: tuple[int, ...]
    """Positions of each sample."""
    segment_index: Int[Tensor, "position"] | None
    """Segment of each position; None where nothing is modulated."""
    tables: RopeTables
    query_scale: Float[Tensor, "position 1 1"] | None
    """Proportional attention: factor on q in self-attention."""
    text_lengths: tuple[int, ...]
    """Of the texts that cross-attention reads."""
    attention: str
    """Backend of `attend`."""
    readers: Readers | None = None
    """Which positions read which text; None: each sample its own."""
    split: Split | None = None
    """Which positions this rank has, of which alone are segments and tables; None: all."""


KeysValues = tuple[Float[Tensor, "text kv_head channel"], Float[Tensor, "text kv_head channel"]]


class Attention(nn.Module):
    """Self-attention and, in some families, cross-attention to text that shares q and output."""

    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        width, kv_width = config.hidden_size, config.kv_dim
        self.config = config
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, kv_width, bias=False)
        self.wv = nn.Linear(width, kv_width, bias=False)
        self.wo = nn.Linear(width, width, bias=False)

        def norm(size: int) -> nn.Module:
            if not config.qk_norm:
                return nn.Identity()
            if config.head_norm:
                return nn.RMSNorm(config.head_dim, config.qk_eps)
            return nn.LayerNorm(size, config.qk_eps)

        if config.text == CROSS:
            self.text_norm = nn.RMSNorm(config.text_dim, config.norm_eps)
            self.text_wk = nn.Linear(config.text_dim, kv_width, bias=False)
            self.text_wv = nn.Linear(config.text_dim, kv_width, bias=False)
            self.gate = nn.Parameter(torch.empty(config.num_heads))
        self.q_norm, self.k_norm = norm(width), norm(kv_width)
        if config.text == CROSS:
            self.text_k_norm = norm(kv_width)
        self.tensor_group: Any = None
        """Ranks that share its heads; see parallel_plan."""

    def text_keys_values(self, text: Float[Tensor, "text text_dim"]) -> KeysValues:
        """Keys and values of the text, which carry no position."""
        text = self.text_norm(text)
        return self._normed(self.text_k_norm, self.text_wk(text)), self._heads(self.text_wv(text))

    def _heads(self, x: Float[Tensor, "length width"]) -> Float[Tensor, "length head channel"]:
        return rearrange(x, "l (h c) -> l h c", c=self.config.head_dim)

    def _normed(
        self, norm: nn.Module, x: Float[Tensor, "length width"]
    ) -> Float[Tensor, "length head channel"]:
        return norm(self._heads(x)) if self.config.head_norm else self._heads(norm(x))

    def forward(
        self,
        x: Float[Tensor, "position hidden"],
        table: Table,
        run: Run,
        text: KeysValues | Tensor | None,
    ) -> Float[Tensor, "position hidden"]:
        """wo(self-attention + tanh(gate) * cross-attention), gate one number per head.

        Args:
            x: modulated tokens.
            table: rotation of each position.
            run: lengths, the proportional factor and the backend.
            text: this block's text keys and values, or the features that they follow from; None:
                self-attention alone.
        """
        q = rotate(self._normed(self.q_norm, self.wq(x)), table)
        k = rotate(self._normed(self.k_norm, self.wk(x)), table)
        v = self._heads(self.wv(x))
        lengths, backend, split = run.lengths, run.attention, run.split
        if split is not None:
            q, k, v = to_heads((q, k, v), split)
        scaled = q if run.query_scale is None else q * run.query_scale.type_as(q)
        out = attend(scaled, k, v, query_lengths=lengths, key_lengths=lengths, backend=backend)
        if text is not None:
            gate, keys, values = self._of_text(text, split)
            out = out + torch.tanh(gate)[:, None] * _cross_attended(q, (keys, values), run)
        if split is not None:
            out = to_positions(out, split)
        return self.wo(out.flatten(1))

    def _of_text(
        self, text: KeysValues | Tensor, split: Split | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gates of the heads that this rank computes, and their keys and values of the text."""
        keys, values = self.text_keys_values(text) if isinstance(text, Tensor) else text
        gate: Tensor = self.gate
        if self.tensor_group is not None:
            gate = own_part(gate, self.tensor_group)
        if split is None:
            return gate, keys, values
        return own_heads(gate, split), own_heads(keys, split), own_heads(values, split)


def _cross_attended(
    q: Float[Tensor, "position head channel"], text: KeysValues, run: Run
) -> Float[Tensor, "position head channel"]:
    """What each position reads of its text."""
    readers = run.readers
    lengths = run.lengths if readers is None else readers.lengths
    if readers is not None:
        q = q.index_select(0, readers.order)
    read = attend(
        q, *text, query_lengths=lengths, key_lengths=run.text_lengths, backend=run.attention
    )
    return read if readers is None else read.index_select(0, readers.places)


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
    """x += gate * Attention(modulated norm of x); x += gate * FeedForward(modulated norm of x).

    With `sandwich` a second norm follows each layer, its gates pass tanh, and nothing is shifted.
    """

    def __init__(self, config: BackboneConfig, *, is_modulated: bool = True) -> None:
        super().__init__()
        width, eps, has_weight = config.hidden_size, config.norm_eps, config.pre_norm_weight
        self.config = config
        self.attention_norm = nn.RMSNorm(width, eps, elementwise_affine=has_weight)
        self.attention = Attention(config)
        self.ffn_norm = nn.RMSNorm(width, eps, elementwise_affine=has_weight)
        self.feed_forward = FeedForward(config)

        def post_norm() -> nn.Module:
            return nn.RMSNorm(width, eps) if config.sandwich else nn.Identity()

        self.attention_post_norm, self.ffn_post_norm = post_norm(), post_norm()
        # shift, scale and gate, or scale and gate, for attention, then for the feed-forward layer
        chunks = 4 if config.sandwich else 6
        self.modulation = nn.Linear(config.condition_dim, chunks * width) if is_modulated else None

    def forward(
        self,
        x: Float[Tensor, "position hidden"],
        condition: Float[Tensor, "segment condition"] | None,
        table: Table,
        run: Run,
        text: KeysValues | Tensor | None = None,
    ) -> Float[Tensor, "position hidden"]:
        """One layer.

        Args:
            x: tokens.
            condition: of each segment, which has passed SiLU where `modulation_silu` says so; that
                is the same in every block.
            table: rotation of each position.
            run: where each sample and each segment stands.
            text: as in Attention.
        """
        outer, inner = self._modulations(condition, run.segment_index)
        y = self.attention(outer.of_input(self.attention_norm(x)), table, run, text)
        x = outer.add(x, self.attention_post_norm(y))
        y = self.feed_forward(inner.of_input(self.ffn_norm(x)))
        return inner.add(x, self.ffn_post_norm(y))

    def _modulations(
        self, condition: Tensor | None, segment_index: Tensor | None
    ) -> tuple[Modulation, Modulation]:
        """Of attention and of the feed-forward layer."""
        if self.modulation is None or condition is None or segment_index is None:
            return Modulation(), Modulation()
        if not self.config.sandwich:
            rows = self.modulation(condition).chunk(6, dim=-1)
            return Modulation(segment_index, *rows[:3]), Modulation(segment_index, *rows[3:])
        scale, gate, ffn_scale, ffn_gate = self.modulation(condition).chunk(4, dim=-1)
        return (
            Modulation(segment_index, None, scale, gate.tanh()),
            Modulation(segment_index, None, ffn_scale, ffn_gate.tanh()),
        )
