"""One typed, checked record per command: what its code takes instead of a dictionary.

Composition itself is in layers.py; here its plain values become records. Every value stands in the
YAML, none is a default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lumina_core import host
from lumina_core.arguments import Overrides, sort_overrides
from lumina_core.errors import LuminaError, reason_of
from lumina_core.keys import RAW_KEYS
from lumina_core.layers import merge_layers, modality_options, recommended_sampling
from lumina_core.records import build

if TYPE_CHECKING:
    from lumina_core.backbone.flag_dit import FlagDiTConfig
    from lumina_core.backbone.rope import RopeScaling
    from lumina_core.coarse import CoarseConfig
    from lumina_core.conditioning import Condition
    from lumina_core.data.files import FilesConfig
    from lumina_core.data.synthetic import SyntheticConfig
    from lumina_core.flow.guidance import GuidanceConfig
    from lumina_core.flow.objective import TimeConfig
    from lumina_core.flow.solver import SolverConfig
    from lumina_core.optimizer import OptimizerConfig
    from lumina_core.sampling import Sampling
    from lumina_core.text import TextEncoderConfig

_HOMES = {
    "FlagDiTConfig": "lumina_core.backbone.flag_dit",
    "RopeScaling": "lumina_core.backbone.rope",
    "CoarseConfig": "lumina_core.coarse",
    "Condition": "lumina_core.conditioning",
    "SyntheticConfig": "lumina_core.data.synthetic",
    "FilesConfig": "lumina_core.data.files",
    "GuidanceConfig": "lumina_core.flow.guidance",
    "TimeConfig": "lumina_core.flow.objective",
    "SolverConfig": "lumina_core.flow.solver",
    "OptimizerConfig": "lumina_core.optimizer",
    "TextEncoderConfig": "lumina_core.text",
}
"""Records beside their readers, imported once a composition is right: some of them bring torch."""

_DATA_RECORDS = {
    "synthetic": "SyntheticConfig",
    "folder": "FilesConfig",
    "manifest": "FilesConfig",
}
"""By `data.name`."""

MAX_JITTER = 2.0  # seven times larger or smaller: positions of another picture
MAX_SAMPLES = 10_000  # of one request; their names are made before the first is computed
NUM_SEEDS = 2**63  # torch generators take a seed below this

T = TypeVar("T")


@dataclass(frozen=True)
class RunConfig:
    """A request: everything that decides what `run` makes."""

    modality: str
    options: Any
    """The plugin's own dataclass."""
    prompt: str
    """Empty with a prompt_file."""
    prompt_file: str | None
    negative_prompt: str
    seed: int
    num_samples: int
    out: str | None
    overwrite: bool
    checkpoint: str | None
    """A folder; the modality's demo checkpoint if none was named; None if it ships none."""
    repeat: str | None
    """The file whose request this is."""
    condition: Condition
    json: bool
    download: bool
    device: str
    dtype: str
    token_budget: int
    solver: SolverConfig
    guidance: GuidanceConfig
    rope_scaling: RopeScaling
    proportional_attention: int | None
    """Positions of the sequences trained on; None: attention is not scaled."""
    coarse: CoarseConfig

    def __post_init__(self) -> None:
        if self.prompt_file is None and not self.prompt.strip():
            raise LuminaError(
                "the prompt is empty. Write what to show, in quotes: "
                f'python -m lumina_core run +modality={self.modality} "..."'
            )
        for text in (self.prompt, self.negative_prompt):
            _check_unicode(text)
        _check_at_least(self, 1, "num_samples", "token_budget")
        _check_at_least(self, 2, "proportional_attention")
        if self.num_samples > MAX_SAMPLES:
            raise LuminaError(
                f"num_samples is {self.num_samples}; set at most {MAX_SAMPLES} per command."
            )
        _check_seed(self.seed, self.num_samples)


@dataclass(frozen=True)
class EvaluateConfig:
    """What `evaluate` measures, and how it samples."""

    modality: str
    options: Any
    checkpoint: str | None
    """As in RunConfig."""
    num_prompts: int
    splits: tuple[str, ...] | None
    """None: every split of the world."""
    seed: int
    out: str | None
    """A folder, or a file that ends in .html."""
    overwrite: bool
    compare: str | None
    json: bool
    download: bool
    device: str
    dtype: str
    token_budget: int
    solver: SolverConfig
    guidance: GuidanceConfig
    rope_scaling: RopeScaling
    proportional_attention: int | None
    coarse: CoarseConfig

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "num_prompts", "token_budget")
        _check_at_least(self, 2, "proportional_attention")
        _check_seed(self.seed, self.num_prompts)
        if self.splits is not None and not 0 < len(self.splits) == len(set(self.splits)):
            raise LuminaError(
                f"splits is {list(self.splits)}; name each split once, or use null for all of them."
            )


@dataclass(frozen=True)
class TrainConfig:
    """What `train` trains, on what and for how long."""

    modality: str
    options: Any
    out: str
    overwrite: bool
    resume: bool
    init_from: str | None
    """A checkpoint folder or `demo`, whose weights a new run starts with."""
    max_steps: int
    token_budget: int
    gradient_accumulation: int
    """Batches whose samples together make the loss of a step."""
    seed: int
    download: bool
    device: str
    dtype: str
    save_dtype: str
    """Of the stored weights; the training state keeps float32."""
    num_threads: int | None
    backbone: FlagDiTConfig
    """Without token_dims: these follow from the modality."""
    text_encoder: TextEncoderConfig
    optimizer: OptimizerConfig
    time: TimeConfig
    caption_dropout: float
    condition_share: float
    position_jitter: float
    data: SyntheticConfig | FilesConfig
    log_every: int
    sample_every: int
    save_every: int
    num_sample_prompts: int
    validate_every: int
    num_validation_samples: int
    validation_times: tuple[float, ...]
    evaluate_every: int
    num_evaluation_prompts: int
    max_nonfinite_steps: int
    """Skipped steps in a row after which a run gives up."""

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "max_steps", "token_budget", "num_threads", "log_every")
        _check_at_least(self, 1, "gradient_accumulation", "max_nonfinite_steps")
        _check_at_least(self, 1, "num_validation_samples", "num_evaluation_prompts")
        _check_at_least(self, 0, "sample_every", "save_every", "num_sample_prompts")
        _check_at_least(self, 0, "validate_every", "evaluate_every")
        times = self.validation_times
        if not times or not all(0 <= t <= 1 for t in times) or len(set(times)) < len(times):
            raise LuminaError(
                f"validation_times is {list(times)}; give different times in [0, 1], such as "
                "[0.1,0.5,0.9]."
            )
        _check_seed(self.seed)
        for key in ("caption_dropout", "condition_share"):
            if not 0 <= getattr(self, key) <= 1:
                raise LuminaError(f"{key} is {getattr(self, key)}; set a share in [0, 1].")
        if not 0 <= self.position_jitter <= MAX_JITTER:
            raise LuminaError(
                f"position_jitter is {self.position_jitter}; set a number from 0 (none) to "
                f"{MAX_JITTER:g}."
            )
        if self.resume and self.overwrite:
            raise LuminaError("resume goes on in a folder, overwrite replaces it. Set one of them.")
        if self.resume and self.init_from is not None:
            raise LuminaError(
                "resume=true goes on with the weights in `out`; leave out init_from, with which a "
                "run only begins."
            )


@dataclass(frozen=True)
class TrainVAEConfig:
    """How the small autoencoder of a modality is trained on its world."""

    modality: str
    options: Any
    out: str
    overwrite: bool
    init_from: str | None
    """An autoencoder to start from; block_channels and its like are not used then."""
    decoder_only: bool
    max_steps: int
    batch_size: int
    seed: int
    num_threads: int | None
    learning_rate: float
    latent_channels: int
    block_channels: tuple[int, ...]
    """Width at each resolution; each after the first halves the size."""
    layers_per_block: int
    log_every: int

    def __post_init__(self) -> None:
        _check_at_least(self, 1, "max_steps", "batch_size", "num_threads", "log_every")
        _check_at_least(self, 1, "latent_channels", "layers_per_block")
        _check_seed(self.seed)
        if not self.block_channels or min(self.block_channels) < 1:
            raise LuminaError(
                f"block_channels is {list(self.block_channels)}; give one width of 1 or more per "
                "resolution, such as [32,64]."
            )
        if self.decoder_only and self.init_from is None:
            raise LuminaError(
                "decoder_only=true keeps an encoder, and there is none; give init_from=FOLDER"
            )
        if not self.learning_rate > 0:
            raise LuminaError(f"learning_rate is {self.learning_rate}; set a number above 0.")


def compose_run(overrides: list[str]) -> RunConfig:
    """The request of `run`.

    Args:
        overrides: `key=value` each, among them `modality=NAME` and `prompt=...`; the prompt and
            paths are taken letter by letter. With `repeat=FILE` that file gives the rest.

    Raises:
        LuminaError: an unknown, refused or wrong key or value, or an unusable modality.
    """
    words = sort_overrides(overrides, "run")
    request = _repeated_request(words)
    name = _one_modality(words, request.get("modality"))
    values, options = merge_layers("run", name, words, request)
    if values["prompt_file"] is not None:
        _refuse_second_prompt(values)
        values["prompt"] = ""
    if values["prompt"] is None:
        raise LuminaError(_lack_of_prompt(name, words))
    values["condition"] = _condition(name, values["condition"], request)
    return _build(RunConfig, name, values, options)


def compose_evaluate(overrides: list[str]) -> EvaluateConfig:
    """What `evaluate` is asked for; see `compose_run`."""
    words = sort_overrides(overrides, "evaluate")
    name = _one_modality(words)
    return _build(EvaluateConfig, name, *merge_layers("evaluate", name, words))


def compose_train(overrides: list[str]) -> TrainConfig:
    """What `train` is asked for; see `compose_run`."""
    words = sort_overrides(overrides, "train")
    name = _one_modality(words)
    values, options = merge_layers("train", name, words)
    values["out"] = values["out"] or f"outputs/{name}-checkpoint"
    values["backbone"]["token_dims"] = {}
    values["data"] = _data_record(values["data"])
    return _build(TrainConfig, name, values, options)


def compose_train_vae(overrides: list[str]) -> TrainVAEConfig:
    """What `train-vae` is asked for; see `compose_run`."""
    words = sort_overrides(overrides, "train-vae")
    name = _one_modality(words)
    values, options = merge_layers("train-vae", name, words)
    values["out"] = values["out"] or f"outputs/{name}-vae"
    return _build(TrainVAEConfig, name, values, options)


def compose_sampling(name: str) -> Sampling:
    """How a modality's samples are made where neither a checkpoint nor a user says otherwise."""
    from lumina_core.sampling import Sampling

    values = recommended_sampling(name)
    return build(Sampling, {field.name: values[field.name] for field in fields(Sampling)})


def compose_options(name: str, stored: Mapping[str, Any] | None = None) -> Any:
    """A modality's options as its YAML has them, with those that a checkpoint fixes."""
    return build(host.options_class(name), modality_options(name) | dict(stored or {}), "modality.")


def _one_modality(words: Overrides, repeated: str | None = None) -> str:
    names = words.modalities or ([repeated] if repeated else [])
    if not names:
        present = ", ".join(host.installed())
        if not present:
            host.find("image")  # says that nothing is installed, and how to install it
        raise LuminaError(f"no modality chosen. Add +modality=NAME; installed: {present}")
    for name in names:
        host.find(name)
    if len(names) > 1:
        raise LuminaError(
            f"+modality=[{','.join(names)}] names {len(names)} modalities; this version works on "
            f"one at a time. Choose one: +modality={names[0]}"
        )
    if repeated not in (None, names[0]):
        raise LuminaError(
            f"+modality={names[0]} cannot repeat a file of modality {repeated!r}. Leave it out."
        )
    return names[0]


def _condition(name: str, values: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """What is given beside the prompt, the plugin's part of it as its own record."""
    numbers = dict(values)
    strength = numbers.pop("strength")
    for key, sha256 in (request.get("condition") or {}).get("files", {}).items():
        _check_given_again(key, numbers.get(key), sha256)
    record = host.condition_class(name)
    wanted: Any = None
    if record and any(value is not None for value in numbers.values()):
        wanted = build(record, numbers, "condition.")
    return {"strength": strength, "wanted": wanted}


def _check_given_again(key: str, path: str | None, sha256: str) -> None:
    """Refuse another file than the one that a repeated request was made from."""
    if path is None:
        raise LuminaError(
            f"the repeated file was made from condition.{key}; give it again: condition.{key}=FILE"
        )
    from lumina_core.files import sha256_of  # brings safetensors

    try:
        found = sha256_of(Path(path))
    except (OSError, ValueError) as error:
        raise LuminaError(f"condition.{key}={path} cannot be read: {reason_of(error)}") from error
    if found != sha256:
        raise LuminaError(
            f"condition.{key}={path} differs from the file that the repeated one was made from; "
            "give the same file, or the prompt and settings instead of repeat=FILE"
        )


def _refuse_second_prompt(values: Mapping[str, Any]) -> None:
    for key in ("repeat", "prompt"):
        if values[key] is not None:
            raise LuminaError(
                f"{key} and prompt_file={values['prompt_file']} both say what to show. "
                "Leave one of them out."
            )


def _lack_of_prompt(name: str, words: Overrides) -> str:
    for key, text in words.values.items():
        if " " in text and key not in RAW_KEYS:
            return (
                f"no prompt: '{key}={text}' was read as the setting {key}. "
                "Put -- before a prompt like this."
            )
    return (
        "no prompt. Write what to show, in quotes: "
        f'python -m lumina_core run +modality={name} "..."'
    )


def _repeated_request(words: Overrides) -> dict[str, Any]:
    path = words.values.get("repeat")
    if path is None:
        return {}
    from lumina_core.run import read_request  # run.py imports this module

    return dict(read_request(Path(path)))


def _build(record: type[T], name: str, values: dict[str, Any], options: dict[str, Any]) -> T:
    """The record of a command; the options are built first, for they say the most."""
    built: Any = build(host.options_class(name), options, "modality.")
    wanted = " ".join(str(field.type) for field in fields(record))  # type: ignore[arg-type]
    namespace = {
        type_name: getattr(import_module(module), type_name)
        for type_name, module in _HOMES.items()
        if type_name in wanted
    }
    return build(record, values | {"modality": name, "options": built}, namespace=namespace)


def _data_record(values: dict[str, Any]) -> Any:
    """The record of the chosen kind of data."""
    name = values["name"]
    if not isinstance(name, str) or name not in _DATA_RECORDS:
        raise LuminaError(f"data.name={name!r} is unknown; use {', '.join(_DATA_RECORDS)}")
    record = _DATA_RECORDS[name]
    return build(getattr(import_module(_HOMES[record]), record), values, "data.")


def _check_at_least(record: Any, least: int, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value is not None and value < least:
            raise LuminaError(f"{name} is {value}; set a whole number of at least {least}.")


def _check_seed(seed: int, count: int = 1) -> None:
    if not 0 <= seed <= NUM_SEEDS - count:
        raise LuminaError(f"seed is {seed}; set a whole number from 0 to {NUM_SEEDS - count}.")


def _check_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise LuminaError("the prompt is no valid UTF-8. Set the terminal to UTF-8.") from error
