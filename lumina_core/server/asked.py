"""From the body of a request to a request of `run`: what may be said, and how much work it is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, TypeVar

from lumina_core.config.keys import Key, switched_off_by
from lumina_core.errors import MAX_NAME, LuminaError, nearest, printable
from lumina_core.files.reading import parse_json
from lumina_core.flow.settings import ADAPTIVE
from lumina_core.plugins.yaml_files import CONDITION
from lumina_core.records import MAX_TEXT, flat, told
from lumina_core.sampling.compose import RUN
from lumina_core.sampling.python_arguments import words_of
from lumina_core.sampling.settings import RunConfig
from lumina_core.server.catalogue import MAX_SAMPLES, Served, composed, file_keys, open_keys
from lumina_core.server.refusals import InvalidError, RefusedError, names_of_sent, without_paths
from lumina_core.server.slots import Slot

T = TypeVar("T")
MAX_TOKENS = 16_384  # of a sample: attention takes their square
MAX_ITEMS = 64  # keys of a body, and values of a list
SIZE = re.compile(r"(?P<width>\d{1,5})x(?P<height>\d{1,5})")
OF_OTHERS = {
    "n": "num_samples",
    "num_inference_steps": "solver.num_steps",
    "guidance_scale": "guidance.scale",
    "output_format": "format",
}
"""What other servers call our keys."""
UNUSED = ("user", "quality", "style", "background", "moderation", "voice", "stream")
"""Keys of OpenAI's that say nothing here; clients send them."""


@dataclass(frozen=True)
class Asked:
    """A request that may be computed."""

    model: Served
    config: RunConfig
    suffix: str


def asked(
    body: Mapping[str, Any],
    models: Mapping[str, Served],
    modality: str,
    files: Mapping[str, str],
) -> Asked:
    """What a body asks for.

    Args:
        body: keys as clients write them; `prompt`, `model` and `format` among them.
        models: of the server.
        modality: that the address names.
        files: the path of each file that was sent, by its key.

    Raises:
        RefusedError: a key or a value that is none, or not for others to set.
    """
    values = {key: value for key, value in _renamed(body).items() if key not in UNUSED}
    model = _model(values.pop("model", None), models, modality)
    prompt = _text("prompt", values.pop("prompt", None))
    suffix = _suffix(values.pop("format", None))
    given = _given(model, files)
    try:
        config = composed(model, _words(model, values) | given, prompt)
    except LuminaError as error:
        text = without_paths(str(error), names_of_sent(files))
        raise InvalidError(text) from error
    return Asked(model, config, suffix)


def check_work(config: RunConfig, num_tokens: int, max_work: int) -> None:
    """Refuse what takes too long.

    Raises:
        RefusedError: too many tokens, steps or samples, or a solver whose steps nobody knows.
    """
    if config.solver.name in ADAPTIVE:
        text = f"solver {config.solver.name} has no number of steps, so that it cannot be cancelled"
        raise InvalidError(f"{text}; choose another one", "solver")
    if config.num_samples > MAX_SAMPLES:
        text = f"num_samples is {config.num_samples}; at most {MAX_SAMPLES} are made at once"
        raise InvalidError(text, "num_samples")
    num_steps = config.at_speed().solver.num_intervals
    work = num_tokens * num_steps * config.num_samples
    if num_tokens > MAX_TOKENS or work > max_work:
        raise RefusedError(
            f"that is {num_tokens} tokens x {num_steps} steps x {config.num_samples} "
            f"samples; this server takes up to {MAX_TOKENS} tokens and a product of {max_work}; "
            "ask for less",
            code="too_much_work",
        )


def checked(
    found: Asked, slot: Slot, suffixes: Sequence[str], max_work: int, names: Mapping[str, str]
) -> Asked:
    """The request with its kind of file, refused where it cannot be made.

    Args:
        found: the request; its suffix may be empty, which means the usual one.
        slot: of those that may compute it.
        suffixes: that its modality writes.
        max_work: tokens times steps times samples.
        names: what messages say in place of paths.

    Raises:
        RefusedError: as `check_work`, or there are no such media or files.
    """
    suffix = found.suffix or suffixes[0]
    if suffix not in suffixes:
        raise InvalidError(
            f"format is {printable(suffix, MAX_NAME)!r}; {found.model.modality} is written as "
            f"{', '.join(suffixes)}",
            "format",
        )
    try:
        num_tokens = slot.size(found.config, suffix)
    except LuminaError as error:
        raise InvalidError(without_paths(str(error), names)) from error
    check_work(found.config, num_tokens, max_work)
    return replace(found, suffix=suffix)


def renamed(values: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    """Values with our names of keys.

    Args:
        values: by the names that the client knows.
        names: ours, by those of others.

    Raises:
        RefusedError: two of them are one key of ours.
    """
    found: dict[str, T] = {}
    for key, value in values.items():
        name = names.get(key, key)
        if name in found:
            raise _twice(name)
        found[name] = value
    return found


def _twice(name: str) -> RefusedError:
    shown = printable(name, MAX_NAME)
    return RefusedError(f"{shown} is given twice; give it once", param=shown)


def _renamed(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with our names of keys."""
    if len(body) > MAX_ITEMS:
        raise RefusedError(f"the body has {len(body)} keys; at most {MAX_ITEMS} are read")
    values = renamed(body, OF_OTHERS)
    size = values.pop("size", None)
    if size not in (None, "auto"):
        match = SIZE.fullmatch(size) if isinstance(size, str) else None
        if match is None:
            text = f"size is {printable(str(size), MAX_NAME)!r}; give WIDTHxHEIGHT in pixels"
            raise InvalidError(text, "size")
        for name in ("width", "height"):
            if values.get(name) is not None:
                raise _twice(name)
            values[name] = int(match[name])
    return values


def _model(name: Any, models: Mapping[str, Served], modality: str) -> Served:
    """The model that is named, or the first of a modality."""
    first = {each.modality: each for each in reversed(list(models.values()))}
    known = first | dict(models)
    wanted = modality if name is None else name
    if not isinstance(wanted, str) or wanted not in known:
        text = printable(str(wanted), MAX_NAME)
        raise RefusedError(
            f"there is no model {text!r} here; there are {', '.join(known)}."
            + nearest(text, list(known)),
            404,
            param="model",
            code="model_not_found",
        )
    if known[wanted].modality != modality:
        text = f"the model {wanted} makes {known[wanted].modality}, not {modality}; name another"
        raise InvalidError(text, "model")
    return known[wanted]


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidError(f"{key} must be a text", key)
    if len(value) > MAX_TEXT:
        raise RefusedError(f"{key} has {len(value)} characters; at most {MAX_TEXT} are read", 400)
    return value


def _suffix(value: Any) -> str:
    if value is None:
        return ""
    name = _text("format", value).strip().lower().removeprefix(".")
    return "." + {"jpeg": "jpg"}.get(name, name)


def _words(model: Served, values: Mapping[str, Any]) -> dict[str, str]:
    """Settings as keys and values of a command line; each is looked at."""
    keys = open_keys(model.modality)
    said: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue  # clients write what they leave out as null
        key = _whole_key(model, keys, name)
        if key.name in said:
            raise _twice(name)
        said[key.name] = _plain(key, name, value)
    return words_of(RUN, model.modality, said)


def _whole_key(model: Served, keys: Mapping[str, Key], name: str) -> Key:
    """The open key that a name or a last part means: one of the medium before others."""
    if name in keys:
        return keys[name]
    by_last: dict[str, Key] = {}
    for key in keys.values():
        by_last.setdefault(key.name.rpartition(".")[2], key)
    if name in by_last:
        return by_last[name]
    known = [*keys, *by_last, *OF_OTHERS]
    text = printable(name, MAX_NAME)
    raise RefusedError(
        f"unknown key {text!r} for {model.modality}.{nearest(text, known)} See /v1/media.",
        param=text,
        code="unknown_parameter",
    )


def _plain(key: Key, name: str, value: Any) -> Any:
    """A value that says what its key takes: a number, a truth, a choice, or one of few texts."""
    if isinstance(value, str) and not key.is_text and value not in key.about.choices:
        try:
            value = parse_json(value)  # forms have texts alone
        except ValueError:
            value = None
    if value is None or not _is_right(key, value):
        raise InvalidError(
            f"{name} takes {key.type}{' of ' if key.about.choices else ''}"
            f"{', '.join(key.about.choices)}; got another value",
            name,
        )
    return value


def _is_right(key: Key, value: Any) -> bool:
    if key.is_text:
        return isinstance(value, str) and len(value) <= MAX_TEXT
    items = value if isinstance(value, list) else [value]
    return len(items) <= MAX_ITEMS and all(_is_item(key, item) for item in items)


def _is_item(key: Key, value: Any) -> bool:
    if isinstance(value, str):
        return value in key.about.choices
    return isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value))


def _given(model: Served, files: Mapping[str, str]) -> dict[str, str]:
    """The files that were sent as keys of a command line."""
    keys = file_keys(model.modality)
    for name in files:
        if name not in keys:
            known = f"takes {', '.join(keys)}" if keys else "takes no file"
            text = printable(name, MAX_NAME)
            raise RefusedError(f"{model.modality} {known}, got {text!r}", param=text)
    return {keys[name].name: path for name, path in files.items()}


def settings_of(config: RunConfig) -> dict[str, Any]:
    """How a job is made, as keys that a request takes again: none that another one switches off."""
    wanted = config.condition.wanted
    given = {} if wanted is None else told(wanted)
    blocks = {"modality": told(config.options), CONDITION: given}
    return _told_by(config.modality, flat(blocks) | flat(told(config)))


def settings_inside(request: Mapping[str, Any]) -> dict[str, Any]:
    """The same of the request that a file carries.

    Raises:
        LuminaError: its modality is not installed, or a value is none that its key takes.
    """
    values = flat({"modality": request.get("options") or {}}) | flat(
        {key: value for key, value in request.items() if key not in ("modality", "options")}
    )
    found = _told_by(request["modality"], values)
    keys = open_keys(request["modality"])
    for name, value in found.items():
        if value is not None and not _is_right(keys[name], value):
            raise LuminaError(f"its request has another value of {name} than there may be")
    return found


def _told_by(modality: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Of flat values those that a request may say, and that no other one switches off."""
    keys = open_keys(modality)
    return {
        name: value
        for name, value in values.items()
        if name in keys and switched_off_by(keys[name], values) is None
    }
