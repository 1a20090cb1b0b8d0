"""Reads YAML files and the values of a command line: the only file that knows Hydra and OmegaConf.

Hydra is used for two things: composing the core's YAML with its groups, and the grammar of values.
A file that is read may come from a plugin. It can neither run code, nor read the environment, nor
grow in memory: no tags beyond plain YAML's, no interpolation, no aliases, and no more than
MAX_YAML_BYTES.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import cache, partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lumina_core.config.keys import conf_root
from lumina_core.errors import MAX_REASON, LuminaError, printable

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


T = TypeVar("T")

MAX_JOBS = 1000  # of a sweep; Hydra composes each twice before the first one starts
_LOCK = threading.Lock()  # Hydra keeps its state in process-wide singletons


class Job(NamedTuple):
    """One of the commands that a sweep consists of."""

    number: int
    words: list[str]
    """The settings that differ from job to job."""
    folder: Path
    """In which it may write; Hydra makes it."""


def compose_core(config_name: str) -> dict[str, Any]:
    """The values of a YAML file in conf/, with the default choice of each of its groups.

    They are composed once in a process; what is returned is the caller's own.
    """
    return deepcopy(_composed(config_name))


@cache
def _composed(config_name: str) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    with _LOCK:
        outer = GlobalHydra.instance().hydra  # a program that itself runs on Hydra may call us
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf_root().resolve()), version_base="1.3"):
                composed = OmegaConf.to_container(compose(config_name), resolve=True)
        finally:
            GlobalHydra.instance().hydra = outer
    assert isinstance(composed, dict)
    return {str(key): value for key, value in composed.items()}


def parse_value(key: str, value: str) -> Any:
    """What a value written on the command line means.

    Args:
        key: to which it is given, for messages.
        value: as written.

    Raises:
        LuminaError: it cannot be read, or asks for several values.
    """
    parsed = _parsed(key, value)
    if parsed.is_sweep_override():
        raise LuminaError(
            f"{key}={value} asks for several values. A list is written {key}=[...]; -m makes one "
            "job of each value."
        )
    return parsed.value()


def has_several(key: str, value: str) -> bool:
    """Whether a value of the command line stands for several, as 1,2 or range(0,4) do.

    Raises:
        LuminaError: it cannot be read.
    """
    return _parsed(key, value).is_sweep_override()


def _parsed(key: str, value: str) -> "Override":
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        with _LOCK:
            return OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, ValueError, RecursionError) as error:  # 5000 digits, 900 brackets
        raise LuminaError(
            f"the value in {key}={value} cannot be read. Put a text with special characters in "
            f"quotes of its own: \"{key}='...'\""
        ) from error


def multirun(
    settings: Sequence[str],
    of_hydra: Sequence[str],
    groups: Mapping[str, str],
    modalities: Sequence[str],
    folder: Callable[[], Path],
    check: Callable[[int, list[str]], None],
    task: Callable[[Job], T],
) -> list[T]:
    """One job for each combination of values, made by Hydra's sweeper and launcher.

    Args:
        settings: `key=a,b` each.
        of_hydra: settings of Hydra itself, such as `hydra/launcher=joblib`.
        groups: those of the command, with a choice of each.
        modalities: what can be chosen.
        folder: names the folder of the sweep, once all jobs are checked.
        check: is given the number and the words of each job before the first one starts.
        task: does a job; a launcher may send it to another process.

    Returns:
        What each job returned.

    Raises:
        LuminaError: Hydra refuses a setting, or there are too many jobs; or as `check` does.
    """
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    keys = [setting.partition("=")[0] for setting in settings]
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_root().resolve()), version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            for number, words in enumerate(_jobs(settings, hydra.config_loader)):
                check(number, words)
            store = ConfigStore.instance()
            for name in modalities:
                store.store(name=name, node={}, group="modality")
            choices = {**groups, "modality": modalities[0]}
            store.store(name="sweep", node=_sweep_node(keys, choices, folder()))
            done = hydra.multirun("sweep", partial(_do, task), [*settings, *of_hydra])
    except HydraException as error:
        reason = printable(str(error).partition("\nConfig search path")[0], MAX_REASON)
        raise LuminaError(f"Hydra refuses the sweep: {reason}") from error
    finally:
        GlobalHydra.instance().hydra = outer
    return [job.return_value for batch in done for job in batch]


def _jobs(settings: Sequence[str], config_loader: Any) -> list[list[str]]:
    """The words of each job of a sweep, as Hydra's own sweeper makes them.

    Raises:
        LuminaError: too many, or a kind of values that cannot be counted.
    """
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create(config_loader).parse_overrides(list(settings))
    for override in parsed:
        if not override.is_discrete_sweep():
            raise LuminaError(
                f"{override.input_line} has no end of values; write some: a,b or range(0,4)"
            )
    values = (islice(override.sweep_string_iterator(), MAX_JOBS + 1) for override in parsed)
    if prod(len(list(each)) for each in values) > MAX_JOBS:
        raise LuminaError(f"more than {MAX_JOBS} jobs; give fewer values to -m")
    return BasicSweeper.split_arguments(parsed, None)[0]


def _sweep_node(keys: Sequence[str], groups: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """A configuration that has the keys of a sweep and nothing else; only its jobs' words count."""
    quiet = [{f"override hydra/{name}": "none"} for name in ("job_logging", "hydra_logging")]
    node: dict[str, Any] = {
        "defaults": [*({key: groups[key]} for key in keys if key in groups), "_self_", *quiet],
        "hydra": {"output_subdir": None, "sweep": {"dir": str(folder)}},
    }
    for key in keys:
        if key not in groups:
            *blocks, last = key.split(".")
            block = node
            for name in blocks:
                block = block.setdefault(name, {})
            block[last] = None
    return node


def _do(task: Callable[[Job], T], _: Any) -> T:
    """Do a job of a sweep, of which Hydra tells number, words and place."""
    from hydra.core.hydra_config import HydraConfig

    settings = HydraConfig.get()
    folder = Path(settings.sweep.dir) / str(settings.sweep.subdir)
    return task(Job(settings.job.num, list(settings.overrides.task), folder))
