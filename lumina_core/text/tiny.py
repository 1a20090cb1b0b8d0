"""Makes the `tiny` text encoder, which learns together with the backbone.

It is no special case: an ordinary transformers folder (LLaMA architecture, its own word-level
tokenizer), read back by the same code as any other. It must be trained jointly: a frozen language
model of this size does not tell which colour belongs to which object.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lumina_core.text.encoder import TextEncoder
from lumina_core.text.settings import TextEncoderConfig

MARKS = ("pad", "bos", "eos")
UNKNOWN, START, END, PAD = "[UNK]", "[BOS]", "[EOS]", "[PAD]"
MAX_POSITIONS = 512
ROPE_THETA = 1000.0  # captions are short


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
    from transformers import LlamaModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_word_tokenizer(captions),
        unk_token=UNKNOWN,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        padding_side="right",
    )
    marks = {f"{mark}_token_id": getattr(tokenizer, f"{mark}_token_id") for mark in MARKS}
    shape = shape_of(config, len(tokenizer), **marks)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaModel(shape)
        nn.init.normal_(model.embed_tokens.weight)
    TextEncoder(model, tokenizer, config.reading).save(folder)


def shape_of(config: TextEncoderConfig, num_words: int, **marks: int | None) -> Any:
    """The architecture of a small encoder, as transformers has it.

    Args:
        config: width, depth and heads.
        num_words: of the vocabulary, marks included.
        marks: the token of each mark.
    """
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=num_words,
        hidden_size=config.hidden_size,
        intermediate_size=2 * config.hidden_size,
        num_hidden_layers=config.depth,
        num_attention_heads=config.num_heads,
        max_position_embeddings=MAX_POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        initializer_range=config.hidden_size**-0.5,
        **marks,
    )


def add_words(encoder: TextEncoder, captions: Iterable[str], seed: int) -> list[str]:
    """Give the words of `captions` that an encoder lacks an untrained embedding of their own.

    Args:
        encoder: changed in place if its tokens are whole words, as those of `create_tiny` are.
        captions: of the new data.
        seed: of the embeddings.

    Returns:
        The new words, sorted; none where the tokens are parts of words.
    """
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tokenizer = encoder.tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not isinstance(backend.model, models.WordLevel):
        return []
    about = json.loads(backend.to_str())
    vocabulary = about["model"]["vocab"]
    split = backend.pre_tokenizer.pre_tokenize_str
    found = {word for text in captions for word, _ in split(backend.normalizer.normalize_str(text))}
    words = sorted(found - vocabulary.keys())
    if not words:
        return []
    old = len(vocabulary)
    vocabulary |= {word: old + number for number, word in enumerate(words)}
    encoder.tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(about)),
        padding_side=tokenizer.padding_side,
        **tokenizer.special_tokens_map,
    )
    rows = torch.randn(len(words), encoder.text_dim, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        encoder.model.resize_token_embeddings(old + len(words), mean_resizing=False)
        encoder.model.get_input_embeddings().weight[old:] = rows
    return words


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of texts as a tiny encoder reads them: in lower case, without punctuation."""
    split = _splitter().pre_tokenize_str
    return frozenset(word for text in texts for word, _ in split(text.lower()))


def _splitter() -> Any:
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("removed")]
    )


def _word_tokenizer(captions: Iterable[str]) -> Any:
    """Lower-cased words, each one token, between [BOS] and [EOS]."""
    from tokenizers import Tokenizer, models, normalizers, processors

    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = _splitter()
    words = [PAD, START, END, UNKNOWN, *sorted(words_of(captions))]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}",
        special_tokens=[(START, vocabulary[START]), (END, vocabulary[END])],
    )
    return tokenizer
