"""Text features from any transformers encoder in a local folder.

`tiny` is no special case: it is made once as an ordinary transformers folder (LLaMA architecture,
its own word-level tokenizer) and read back by the same code as any other. It must be trained
jointly: a frozen language model of this size does not tell which colour belongs to which object.

Each distinct text is encoded alone when sampling, so its features never depend on batch mates.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import quiet

UNKNOWN, START, END, PAD = "[UNK]", "[BOS]", "[EOS]", "[PAD]"
MAX_POSITIONS = 512  # of the tiny encoder
ROPE_THETA = 1000.0  # of the tiny encoder: captions are short
MAX_COSINE = 0.95  # above this, captions that differ in one word are taken for the same text
UNUSED_WEIGHTS = ("pooler.",)  # they act after the last hidden state, so a folder may lack them
_TOKENIZER_LOCK = Lock()  # each call writes its settings into the Rust tokenizer


@dataclass(frozen=True)
class TextEncoderConfig:
    """Which text encoder, and how it is used."""

    path: str | None
    """Folder of a transformers encoder; None: a new tiny one, made for the captions of the data."""
    max_tokens: int
    """Longer texts are cut."""
    trainable: bool
    """Train it jointly with the backbone."""
    hidden_size: int
    """Width of a new tiny encoder."""
    depth: int
    """Layers of a new tiny encoder."""
    num_heads: int
    """Heads of a new tiny encoder."""

    def __post_init__(self) -> None:
        for key in ("max_tokens", "hidden_size", "depth", "num_heads"):
            if getattr(self, key) < 1:
                raise LuminaError(f"text_encoder.{key}={getattr(self, key)} must be at least 1")
        if self.hidden_size % (2 * self.num_heads):
            raise LuminaError(
                f"text_encoder.hidden_size={self.hidden_size} over text_encoder.num_heads="
                f"{self.num_heads} must give an even number of channels per head"
            )
        if self.path is None and not self.trainable:
            raise LuminaError(
                "text_encoder.trainable=false needs text_encoder.path: a new encoder knows nothing"
            )


class TextEncoder(nn.Module):
    """A transformers model and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, max_tokens: int) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens

    @property
    def text_dim(self) -> int:
        """Width of the features."""
        return int(self.model.config.hidden_size)

    def forward(
        self, texts: Sequence[str]
    ) -> tuple[Float[Tensor, "text text_dim"], tuple[int, ...]]:
        """Features of several texts in one padded call, packed end to end.

        Returns:
            The features of the valid tokens, and how many each text has.
        """
        rows = [torch.tensor(self._token_ids(text)) for text in texts]
        lengths = tuple(len(row) for row in rows)
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # what pads is masked: any token
        valid = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        ids, valid = ids.to(self.model.device), valid.to(self.model.device)
        hidden = self.model(input_ids=ids, attention_mask=valid.long()).last_hidden_state
        return hidden[valid], lengths

    def _token_ids(self, text: str) -> list[int]:
        """The tokens of a text, cut to `max_tokens`; at least one, where others give none."""
        with _TOKENIZER_LOCK:
            ids = self.tokenizer(text, truncation=True, max_length=self.max_tokens).input_ids
            marks = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, 0)
        return ids or [next(mark for mark in marks if mark is not None)]

    @torch.no_grad()
    def encode(
        self, texts: Sequence[str]
    ) -> tuple[Float[Tensor, "text text_dim"], tuple[int, ...]]:
        """Features of several texts, each distinct one encoded alone, packed end to end."""
        features = {text: self([text])[0] for text in dict.fromkeys(texts)}
        packed = [features[text] for text in texts]
        return torch.cat(packed), tuple(len(item) for item in packed)

    def unknown_words(self, text: str) -> list[str]:
        """Words of a text that the tokenizer has never seen, in order."""
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if unknown is None:
            return []
        words = dict.fromkeys(re.findall(r"[^\W_]+|[^\w\s]", text))
        with _TOKENIZER_LOCK:
            return [
                word
                for word in words
                if unknown in self.tokenizer(word, add_special_tokens=False).input_ids
            ]

    def num_cut_tokens(self, text: str) -> int:
        """Tokens of a text beyond `max_tokens`."""
        with _TOKENIZER_LOCK:
            ids = self.tokenizer(text, verbose=False).input_ids
        return max(0, len(ids) - self.max_tokens)

    def save(self, folder: Path) -> None:
        """Write a folder that `load_text_encoder` and transformers read."""
        from transformers.utils import logging

        with quiet(logging):
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def load_text_encoder(folder: Path, max_tokens: int) -> TextEncoder:
    """Read an encoder from a local folder; never from a hub, never any code of the folder.

    Raises:
        LuminaError: the folder holds no readable encoder.
    """
    from transformers.utils import logging

    if not (folder / "config.json").is_file():
        raise LuminaError(f"no text encoder in {folder}: config.json is missing")
    try:
        with quiet(logging):
            model, tokenizer, missing = _read_folder(folder)
    except Exception as error:  # whatever transformers meets there; all of it is the folder's
        raise LuminaError(
            f"the text encoder in {folder} cannot be read: {reason_of(error)}"
        ) from error
    needed = sorted(name for name in missing if not name.startswith(UNUSED_WEIGHTS))
    if needed:
        raise LuminaError(
            f"the text encoder in {folder} lacks {len(needed)} weights, such as {needed[0]}"
        )
    longest = getattr(model.config, "max_position_embeddings", max_tokens)
    if max_tokens > longest:
        raise LuminaError(
            f"text_encoder.max_tokens={max_tokens} is more than the {longest} positions of the "
            f"encoder in {folder}; use at most {longest}"
        )
    return TextEncoder(model.eval(), tokenizer, max_tokens)


def _read_folder(folder: Path) -> tuple[Any, Any, set[str]]:
    """Model, tokenizer, and the names of weights that the folder lacks."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding, AutoTokenizer
    from transformers.models.auto.modeling_auto import MODEL_FOR_TEXT_ENCODING_MAPPING

    safely = {"local_files_only": True, "trust_remote_code": False}
    config = AutoConfig.from_pretrained(folder, **safely)
    # of T5 and its like this is the encoder half
    has_encoder = type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING
    reader = AutoModelForTextEncoding if has_encoder else AutoModel
    model, report = reader.from_pretrained(
        folder, **safely, use_safetensors=True, dtype=torch.float32, output_loading_info=True
    )
    model.config.use_cache = False  # a text is read once, no key is needed again
    tokenizer = AutoTokenizer.from_pretrained(folder, **safely)
    return model, tokenizer, set(report["missing_keys"])


def create_tiny(
    folder: Path, captions: Iterable[str], config: TextEncoderConfig, seed: int
) -> None:
    """Make a small untrained encoder for the words of `captions`, as a transformers folder.

    Word embeddings start with standard deviation 1, so that the residual stream carries each word
    to the output; every matrix starts with 1 / sqrt(width), so that attention, which is what tells
    the order of words, is not faint beside them. Captions that differ in one word then have a
    cosine of 0.18 there (`one_word_cosine`); with the usual 0.02 for both it is 0.68.

    Args:
        folder: an existing folder.
        captions: their words become the vocabulary.
        config: width, depth and heads.
        seed: of the weights.
    """
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_word_tokenizer(captions),
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        padding_side="right",
    )
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=2 * config.hidden_size,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        initializer_range=config.hidden_size**-0.5,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaModel(shape)
        nn.init.normal_(model.embed_tokens.weight)
    TextEncoder(model, tokenizer, config.max_tokens).save(folder)


def _word_tokenizer(captions: Iterable[str]) -> Any:
    """Lower-cased words, each one token, between [BOS] and [EOS]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("removed")]
    )
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    words = sorted({word for text in captions for word, _ in split(text.lower())})
    vocabulary = {word: i for i, word in enumerate([PAD, START, END, UNKNOWN, *words])}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, vocabulary[START]), (END, vocabulary[END])],
    )
    return tokenizer


@torch.no_grad()
def one_word_cosine(encoder: TextEncoder, captions: Sequence[str]) -> float:
    """How alike the features are of captions that differ in one word: the mean cosine.

    Each caption is compared with itself after one of its words was exchanged for a word of the next
    caption; features are compared at the exchanged place. A value near 1 means that the backbone
    cannot tell the words apart (and zero-initialised gates will hardly open).
    """
    cosines = []
    for number, caption in enumerate(captions):
        words = caption.split()
        others = captions[(number + 1) % len(captions)].split()
        place = number % len(words)
        replacement = others[place % len(others)]
        if replacement == words[place]:
            continue
        changed = [*words[:place], replacement, *words[place + 1 :]]
        first, second = encoder([caption])[0], encoder([" ".join(changed)])[0]
        if len(first) != len(second):
            continue  # the words have different numbers of tokens: no common place to look at
        distance = (first - second).norm(dim=-1)
        at = int(distance.argmax())
        cosines.append(torch.cosine_similarity(first[at], second[at], dim=0))
    return torch.stack(cosines).mean().item() if cosines else 0.0
