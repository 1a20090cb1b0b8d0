"""Refuses a tokenizer whose steps could make a short text very long.

The library runs the steps of a tokenizer.json without a limit: twenty that each write a letter ten
times end the process, and it cannot be stopped meanwhile. So their growth is computed from what
stands there, before it is loaded, and again from what was loaded, for a vocabulary of sentencepiece
has steps, too.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from math import prod
from typing import Any

MAX_MADE = 4_000_000  # characters of one text; the library takes some seconds for them
MAX_GROWTH = 4000  # characters of one; the steps of ALBERT make 2592 at most, of others below 100
MAX_PIECES = 16  # of a template around a text, and tokens of each; known ones have 2 or 3
MAX_AFFIX = 100  # characters that a vocabulary puts before or after parts of words
MAX_WORD = 1000  # characters of a word that is searched for parts; BERT has 100
GROWTH = {
    **{"NFC": 3, "NFD": 4, "NFKC": 18, "NFKD": 18, "Lowercase": 2},  # Unicode 16, U+FDFA among it
    **{"BertNormalizer": 24},  # NFD, spaces around a character, lower case
    **{"ByteLevel": 4, "Metaspace": 2},
}
"""Characters that a step makes of one, at most; those that are not here make no more."""

_CHILDREN = ("normalizers", "pretokenizers")


def check_tokenizer(about: Any) -> None:
    """Refuse a tokenizer.json that is not safe to load.

    Args:
        about: what it holds.

    Raises:
        ValueError: its steps, its template or its parts of words have no bounds.
    """
    if not isinstance(about, Mapping):
        raise ValueError("tokenizer.json holds no tokenizer")
    growth = _refused_beyond(_growth(about.get("normalizer")) * _growth(about.get("pre_tokenizer")))
    tokens = [token for token in _listed(about.get("added_tokens")) if token.get("normalized")]
    made = growth * sum(len(str(token.get("content"))) for token in tokens)
    if made > MAX_MADE:
        raise ValueError(f"its added tokens become {made} characters; at most {MAX_MADE}")
    _check_template(about.get("post_processor"))
    model = about.get("model")
    if isinstance(model, Mapping):
        for key in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
            if len(str(model.get(key))) > MAX_AFFIX:
                raise ValueError(f"its {key} has more than {MAX_AFFIX} characters")
        longest = model.get("max_input_chars_per_word", 0)
        if not isinstance(longest, int) or longest > MAX_WORD:
            raise ValueError(f"its max_input_chars_per_word is more than {MAX_WORD}")


def growth_of(tokenizer: Any) -> int:
    """Characters that a loaded tokenizer makes of one, at most.

    Args:
        tokenizer: of transformers.

    Raises:
        ValueError: more than MAX_GROWTH.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    steps = [getattr(backend, name, None) for name in ("normalizer", "pre_tokenizer")]
    return _refused_beyond(
        prod(_growth(json.loads(step.__getstate__())) for step in steps if step is not None)
    )


def _refused_beyond(growth: int) -> int:
    if growth > MAX_GROWTH:
        raise ValueError(f"its tokenizer may make more than {MAX_GROWTH} characters of one")
    return growth


def _growth(step: Any) -> int:
    """Characters that a step makes of one, at most; beyond MAX_GROWTH a smaller number will do."""
    if not isinstance(step, Mapping):
        return 1
    kind, growth = step.get("type"), 1
    if kind == "Replace":
        return _replaced(len(str(step.get("content"))), step.get("pattern"))
    if kind == "Prepend":
        return 1 + len(str(step.get("prepend")))
    if kind == "Precompiled":
        return _longest_of(str(step.get("precompiled_charsmap") or ""))
    for child in (child for key in _CHILDREN for child in _listed(step.get(key))):
        growth = min(growth * _growth(child), MAX_GROWTH + 1)
    return growth * GROWTH.get(str(kind), 1)


def _replaced(length: int, pattern: Any) -> int:
    """Characters per character where a pattern is replaced by so many."""
    text = pattern.get("String") if isinstance(pattern, Mapping) else None
    if isinstance(text, str) and text:
        return max(1, -(-length // len(text)))
    return 1 + length  # a regular expression may match between all characters


def _longest_of(charsmap: str) -> int:
    """Characters of the longest replacement in a map of sentencepiece.

    Source: sentencepiece, src/normalizer.cc: the size of a trie, the trie, texts that end with 0.
    """
    data = b64decode(charsmap)
    start = 4 + int.from_bytes(data[:4], "little")
    return max(1, *(len(text.decode(errors="replace")) for text in data[start:].split(b"\0")))


def _check_template(step: Any) -> None:
    """Refuse a post-processor that repeats the text, or marks of many tokens around it."""
    if not isinstance(step, Mapping):
        return
    inner = _listed(step.get("processors"))
    marks = step.get("special_tokens")
    known = list(marks.values()) if isinstance(marks, Mapping) else []
    tokens = [mark.get("ids") for mark in _listed(known)]
    for pieces in (inner, step.get("single"), *tokens):
        if isinstance(pieces, list) and len(pieces) > MAX_PIECES:
            raise ValueError(f"its template has {len(pieces)} pieces; at most {MAX_PIECES}")
    for child in inner:
        _check_template(child)


def _listed(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
