"""Text features from any transformers encoder in a local folder.

`tiny` is no special case: it is made once as an ordinary transformers folder (LLaMA architecture,
its own word-level tokenizer) and read back by the same code as any other. It must be trained
jointly: a frozen language model of this size does not tell which colour belongs to which object.

Each distinct text is encoded alone when sampling, so its features never depend on batch mates.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lumina_core.errors import LuminaError

TINY = "tiny"
UNKNOWN, START, END, PAD = "[UNK]", "[BOS]", "[EOS]", "[PAD]"
MAX_POSITIONS = 512  # of the tiny encoder
ROPE_THETA = 1000.0  # of the tiny encoder: captions are short
MAX_COSINE = 0.95  # above this, captions that differ in one word are taken for the same text


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
        if self.path is None and not self.trainable:
            raise LuminaError(
                "text_encoder.trainable=false needs text_encoder.path: a new encoder knows nothing"
            )


class TextEncoder(nn.Module):
    """A transformers model and its tokenizer."""

    def __init__(self, model: nn.Module, tokenizer: object, max_tokens: int) -> None:
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
        tokens = self.tokenizer(
            [text if text else "" for text in texts],
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        ).to(self.model.device)
        valid = tokens["attention_mask"].bool()
        hidden = self.model(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).last_hidden_state
        return hidden[valid], tuple(valid.sum(dim=1).tolist())

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
        words = dict.fromkeys(re.findall(r"[^\W_]+", text))
        return [w for w in words if unknown in self.tokenizer(w, add_special_tokens=False).input_ids]

    def num_cut_tokens(self, text: str) -> int:
        """Tokens of a text beyond `max_tokens`."""
        return max(0, len(self.tokenizer(text).input_ids) - self.max_tokens)

    def save(self, folder: Path) -> None:
        """Write a folder that `load_text_encoder` and transformers read."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load_text_encoder(folder: Path, max_tokens: int) -> TextEncoder:
    """Read an encoder from a local folder; never from a hub, never any code of the folder.

    Raises:
        LuminaError: the folder holds no readable encoder.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # our own bar is on stderr
    if not (folder / "config.json").is_file():
        raise LuminaError(f"no text encoder in {folder}: config.json is missing")
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        model = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.float32,
        )
    except (OSError, ValueError, KeyError) as error:
        line = str(error).splitlines()[0]
        raise LuminaError(f"the text encoder in {folder} cannot be read: {line}") from error
    return TextEncoder(model.eval(), tokenizer, max_tokens)


def create_tiny(folder: Path, captions: Iterable[str], config: TextEncoderConfig, seed: int) -> None:
    """Make a small untrained encoder for the words of `captions`, as a transformers folder.

    Word embeddings start with standard deviation 1, so that the residual stream carries each word
    to the output; every matrix starts with 1 / sqrt(width), so that attention, which is what tells
    the order of words, is not faint beside them. With the usual 0.02 for both, features of
    different words have cosines above 0.99, and zero-initialised gates never open.

    Args:
        folder: an existing folder.
        captions: their words become the vocabulary.
        config: width, depth and heads.
        seed: of the weights.
    """
    from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerFast

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
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


def _word_tokenizer(captions: Iterable[str]) -> object:
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
