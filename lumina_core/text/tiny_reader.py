"""Reads the encoders of `text/tiny.py` without transformers, which is slow to import.

That is a small `LlamaModel` in float32, and a tokenizer of whole words. Tokens and features are
those of the library, to the bit; tests compare them. Whatever is not exactly that is left to the
library, which also says what is wrong with it.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from einops import rearrange
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from lumina_core.files.reading import read_json
from lumina_core.files.weights import read_float32
from lumina_core.text.settings import Reading
from lumina_core.text.tokenizer_limits import check_tokenizer

SETTINGS = ("config.json", "tokenizer_config.json", "tokenizer.json")
FILES = {*SETTINGS, "model.safetensors"}
READS = ("max_tokens", "add_eos", "template", "template_for")
"""Settings of a reading that may differ from their defaults; they concern the tokens alone."""
EPS = 1e-6
MARKS = ("unk", "bos", "eos", "pad")
ROPE = {"rope_type": "default"}
FIXED = {
    **{"architectures": ["LlamaModel"], "model_type": "llama", "hidden_act": "silu"},
    **{"attention_bias": False, "mlp_bias": False, "rms_norm_eps": EPS},
}
KEYS = FIXED.keys() | {
    "attention_dropout", "bos_token_id", "dtype", "eos_token_id", "head_dim", "hidden_size",
    "initializer_range", "intermediate_size", "max_position_embeddings", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "pad_token_id", "pretraining_tp",
    "rope_parameters", "tie_word_embeddings", "transformers_version", "use_cache", "vocab_size",
}  # fmt: skip
"""Of config.json; another one could mean something to the library."""
TOKENIZER_KEYS = {f"{mark}_token" for mark in MARKS} | {
    "backend", "is_local", "local_files_only", "max_length", "model_max_length", "padding_side",
    "stride", "tokenizer_class", "truncation_side", "truncation_strategy",
}  # fmt: skip


class Opened(NamedTuple):
    """A text encoder whose weights may not be read yet."""

    text_dim: int
    """Width of its features."""
    tokenizer: Any
    read: Callable[[], Any]
    """Gives the model of transformers, or what is called as it."""


class WordTokenizer:
    """As much of a tokenizer of transformers as a `TextReader` needs."""

    def __init__(self, backend: Any, about: Mapping[str, Any]) -> None:
        self.backend_tokenizer = backend
        for mark in MARKS:
            setattr(self, f"{mark}_token_id", backend.token_to_id(about[f"{mark}_token"]))

    def __call__(
        self, text: str, max_length: int = 1 << 30, add_special_tokens: bool = True, **_: Any
    ) -> Any:
        """The tokens of a text as `input_ids`, cut to `max_length`."""
        self.backend_tokenizer.enable_truncation(max_length)
        found = self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return SimpleNamespace(input_ids=found.ids)


class Layer(nn.Module):
    """Causal attention and feed-forward of one text."""

    def __init__(self, width: int, inner: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads, heads = num_heads, num_heads * head_dim
        self.input_layernorm = nn.RMSNorm(width, EPS)
        self.post_attention_layernorm = nn.RMSNorm(width, EPS)
        read, led, spread = (width, heads), (heads, width), (width, inner)
        self.self_attn = _matrices(q_proj=read, k_proj=read, v_proj=read, o_proj=led)
        self.mlp = _matrices(gate_proj=spread, up_proj=spread, down_proj=(inner, width))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Of the shape of `x`."""
        normed, by = self.input_layernorm(x), self.self_attn
        q, k, v = (
            rearrange(by[f"{name}_proj"](normed), "b l (h k) -> b h l k", h=self.num_heads)
            for name in "qkv"
        )
        q, k = (each * cos + _turned(each) * sin for each in (q, k))
        seen = functional.scaled_dot_product_attention(q, k, v, is_causal=x.shape[1] > 1)
        x = x + by["o_proj"](rearrange(seen, "b h l k -> b l (h k)"))
        normed, by = self.post_attention_layernorm(x), self.mlp
        gate = functional.silu(by["gate_proj"](normed))
        return x + by["down_proj"](gate * by["up_proj"](normed))


class TinyModel(nn.Module):
    """A LlamaModel for one text at a time."""

    def __init__(self, about: Mapping[str, Any]) -> None:
        super().__init__()
        width, num_heads = about["hidden_size"], about["num_attention_heads"]
        self.head_dim, self.rope_theta = about["head_dim"], about["rope_parameters"]["rope_theta"]
        shape = width, about["intermediate_size"], num_heads, self.head_dim
        table = torch.empty(about["vocab_size"], width)  # a normal draw on meta imports dynamo
        self.embed_tokens = nn.Embedding.from_pretrained(table)
        self.layers = nn.ModuleList(Layer(*shape) for _ in range(about["num_hidden_layers"]))
        self.norm = nn.RMSNorm(width, EPS)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.norm.weight.device

    def get_input_embeddings(self) -> nn.Embedding:
        """A vector for each token."""
        return self.embed_tokens

    def forward(self, input_ids: Tensor, **_: Any) -> Any:
        """Features of all tokens as `last_hidden_state`; all of them count."""
        powers = torch.arange(0, self.head_dim, 2, dtype=torch.float32) / self.head_dim
        places = torch.arange(input_ids.shape[1], dtype=torch.float32)
        angles = (places[:, None] * (1 / self.rope_theta**powers)).repeat(1, 2)
        cos, sin = (part.to(self.device) for part in (angles.cos(), angles.sin()))
        x = self.embed_tokens(input_ids)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return SimpleNamespace(last_hidden_state=self.norm(x))


def _matrices(**sizes: tuple[int, int]) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(*size, bias=False) for name, size in sizes.items()})


def _turned(x: Tensor) -> Tensor:
    """Each pair of channels by a quarter; a pair is one of the first half and one of the second."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)


def open_tiny(folder: Path, reading: Reading) -> Opened | None:
    """The encoder of a folder; None where it is no tiny one, not whole, or read in another way."""
    own = {name: getattr(reading, name) for name in READS}
    if reading != Reading(**own) or {path.name for path in folder.glob("*")} != FILES:
        return None
    try:
        config, about, words = (read_json(folder / name) for name in SETTINGS)
        check_tokenizer(words)
        tokenizer = WordTokenizer(Tokenizer.from_str(json.dumps(words)), about)
        model = read_float32(partial(TinyModel, config), folder / "model.safetensors")
        is_tiny = (
            config | FIXED == config
            and config.keys() <= KEYS
            and config["rope_parameters"] == {"rope_theta": model.rope_theta, **ROPE}
            and config["num_key_value_heads"] == config["num_attention_heads"]
            and words["model"]["type"] == "WordLevel"
            and about.keys() <= TOKENIZER_KEYS
            and about["tokenizer_class"] == "TokenizersBackend"
            and tokenizer.backend_tokenizer.get_vocab_size() <= config["vocab_size"]
            and reading.max_tokens <= config["max_position_embeddings"]
        )
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # panics of the Rust library among it; transformers says what is wrong
        return None
    return Opened(config["hidden_size"], tokenizer, model.eval) if is_tiny else None
