"""Text features from any transformers decoder or T5-like encoder in a local folder.

No text depends on its batch mates: only the tokens of a text itself become features, and each
distinct text is encoded alone when sampling. Encoders that are not trained are used through
frozen_text.py, which keeps their features.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lumina_core.errors import LuminaError, reason_of
from lumina_core.runtime import quiet
from lumina_core.text.folder import open_folder, read_weights, width_of
from lumina_core.text.settings import Reading, Text
from lumina_core.text.tokenizer_limits import MAX_MADE, growth_of

MAX_COSINE = 0.95  # above this, captions that differ in one word are taken for the same text
HOW_IT_WAS_READ = {"is_local", "local_files_only"}  # transformers writes it into the settings
_TOKENIZER_LOCK = Lock()  # each call writes its settings into the Rust tokenizer


Features = tuple[Float[Tensor, "text text_dim"], tuple[int, ...]]
"""Of several texts, packed end to end, and how many tokens each has."""


def packed(texts: Sequence[Text], features: Mapping[Text, Tensor], reading: Reading) -> Features:
    """The features of texts, from those of what is read for each."""
    parts = [features[text] * (not reading.is_zero(text)) for text in texts]
    return torch.cat(parts), tuple(map(len, parts))


class TextReader:
    """From texts to tokens: the part of a text encoder that needs no weights."""

    tokenizer: Any
    reading: Reading

    @property
    def max_tokens(self) -> int:
        """Longer texts are cut."""
        return self.reading.max_tokens

    def token_ids(self, text: Text, *, is_padded: bool = True) -> list[int]:
        """The tokens of a text, cut to `max_tokens`; at least one, where others give none.

        Args:
            text: what is asked.
            is_padded: with the pads that the reading asks for; else its own tokens alone.

        Marks such as <|im_end|> are what they are to the encoder in a prompt, too.
        """
        whole = self.reading.written_out(text)
        limit, tokenizer = self.max_tokens, self.tokenizer
        with _TOKENIZER_LOCK:
            end = self._own_end()
            ids = self._encoded(whole, truncation=True, max_length=limit - len(end)) + end
            marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, 0)
        ids = ids or [next(mark for mark in marks if mark is not None)]
        num_pads = limit - len(ids) if self.reading.padded and is_padded else 0
        return ids + [tokenizer.pad_token_id] * num_pads

    def _own_end(self) -> list[int]:
        """The end mark, where it is wanted and the tokenizer does not put it itself."""
        end = [self.tokenizer.eos_token_id]
        is_missing = self.reading.add_eos and self._encoded("")[-1:] != end
        return end if is_missing else []

    def unknown_words(self, text: str) -> list[str]:
        """Words of a text that the tokenizer has never seen, in order."""
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if unknown is None:
            return []
        words = dict.fromkeys(re.findall(r"[^\W_]+|[^\w\s]", text))
        with _TOKENIZER_LOCK:
            return [
                word for word in words if unknown in self._encoded(word, add_special_tokens=False)
            ]

    def num_cut_tokens(self, text: Text) -> int:
        """Tokens of a text beyond `max_tokens`, those of the template included."""
        whole = self.reading.written_out(text)
        with _TOKENIZER_LOCK:
            length = len(self._encoded(whole, verbose=False)) + len(self._own_end())
        return max(0, length - self.max_tokens)

    def _encoded(self, text: str, **words: Any) -> list[int]:
        """What the tokenizer makes of a text.

        Raises:
            LuminaError: the text may become too long on the way, or the tokenizer gives up.
        """
        if len(text) * self._growth > MAX_MADE:
            raise LuminaError(
                f"a text has {len(text)} characters, and the tokenizer may make {self._growth} of "
                f"each; shorten it to {MAX_MADE // self._growth}"
            )
        try:
            return list(self.tokenizer(text, **words).input_ids)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of the Rust library is no Exception
            raise LuminaError(
                f"the tokenizer of the text encoder gives up at a text of {len(text)} characters: "
                f"{reason_of(error)}"
            ) from error

    @cached_property
    def _growth(self) -> int:
        return growth_of(self.tokenizer)


class TextEncoder(nn.Module, TextReader):
    """A transformers model and its tokenizer."""

    def __init__(self, model: Any, tokenizer: Any, reading: Reading) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer
        self.reading = reading

    @property
    def text_dim(self) -> int:
        """Width of the features."""
        return width_of(self.model.config) * (1 + self.reading.adds_embedding)

    def forward(self, texts: Sequence[Text]) -> Features:
        """Features of several texts in one padded call, of the valid tokens alone.

        A text that stands there several times is encoded once: small worlds say few captions.

        Raises:
            LuminaError: the tokenizer names a token that the model does not have.
        """
        distinct = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        rows = [torch.tensor(self.token_ids(text)) for text in distinct]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)  # what pads is masked: any token
        largest, size = int(ids.max()), len(self.model.get_input_embeddings().weight)
        if largest >= size:  # a GPU would stop for good
            raise LuminaError(
                f"the tokenizer of the text encoder names token {largest}, and its weights have "
                f"{size}; take both from one place"
            )
        width = ids.shape[1]
        valid = torch.arange(width) < torch.tensor([len(row) for row in rows])[:, None]
        kept = valid
        if self.reading.padded and not self.reading.keeps_pads:
            counts = [len(self.token_ids(text, is_padded=False)) for text in distinct]
            kept = torch.arange(width) < torch.tensor(counts)[:, None]
        row_of = torch.tensor([distinct[text] for text in texts])
        places = torch.arange(width) + width * row_of[:, None]
        places = places[kept[row_of]]  # here: on a GPU it would be waited for
        lengths = tuple(kept[row_of].sum(1).tolist())
        device = self.model.device
        ids, valid, places = (x.to(device, non_blocking=True) for x in (ids, valid, places))
        is_last = self.reading.hidden_state == -1
        output = self.model(
            input_ids=ids, attention_mask=valid.long(), output_hidden_states=not is_last
        )
        hidden = (
            output.last_hidden_state if is_last else output.hidden_states[self.reading.hidden_state]
        )
        if self.reading.adds_embedding:
            hidden = torch.cat([self.model.get_input_embeddings()(ids), hidden], dim=-1)
        return hidden.flatten(0, 1).index_select(0, places), lengths

    @torch.no_grad()
    def encode(self, texts: Sequence[Text]) -> Features:
        """Features of several texts, each distinct one encoded alone."""
        features = {text: self([text])[0] for text in dict.fromkeys(texts)}
        return packed(texts, features, self.reading)

    def save(self, folder: Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write a folder that `load_text_encoder` and transformers read.

        It does not depend on whether the encoder was made or read, or on what it was asked last.

        Args:
            folder: is made.
            weights: of this encoder at another time, by their names in it; None: as they are.

        Raises:
            OSError: it cannot be written.
        """
        from transformers.utils import logging

        with quiet(logging), _TOKENIZER_LOCK:
            state = self.state_dict() if weights is None else weights
            named = {name.removeprefix("model."): value for name, value in state.items()}
            # of several ranks transformers would let the first alone write, whatever the folder
            self.model.should_save_on_this_rank = lambda is_main_process: is_main_process
            self.model.save_pretrained(folder, state_dict=named)
            del self.model.should_save_on_this_rank
            backend = getattr(self.tokenizer, "backend_tokenizer", None)
            if backend is not None:  # it holds the settings of its last call
                backend.no_truncation()
                backend.no_padding()
            try:
                self.tokenizer.save_pretrained(folder)
            except Exception as error:  # the Rust tokenizer knows no other, on a full disk say
                raise OSError(reason_of(error)) from error
        path = folder / "tokenizer_config.json"
        about = json.loads(path.read_text(encoding="utf-8"))
        kept = {key: value for key, value in about.items() if key not in HOW_IT_WAS_READ}
        text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False)
        path.write_text(f"{text}\n", encoding="utf-8")


def load_text_encoder(folder: Path, reading: Reading) -> TextEncoder:
    """Read an encoder from a local folder; never from a hub, never any code of the folder.

    Raises:
        LuminaError: as `open_folder` and `read_weights`.
    """
    config, tokenizer = open_folder(folder, reading)
    return TextEncoder(read_weights(folder, config, reading), tokenizer, reading)


@torch.no_grad()
def one_word_cosine(encoder: Callable[[Sequence[str]], Features], captions: Sequence[str]) -> float:
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
