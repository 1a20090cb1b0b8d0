"""The grammar of values, the choices of a group, and sweeps: the only file that knows Hydra.

The plain values of the records are nodes of Hydra's ConfigStore. A choice in conf/ may begin with
one of them (`defaults: [NAME]`), and Hydra composes the two.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from lumina_core.config.keys import conf_root
from lumina_core.errors import MAX_REASON, LuminaError, printable
from lumina_core.records import Block, plain

if TYPE_CHECKING:
    from hydra.core.config_store import ConfigStore
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


def compose_choice(group: str, block: Block, choice: str) -> dict[str, Any]:
    """The values that a choice of a group brings.

    Args:
        group: such as `optimizer`.
        block: its records.
        choice: one of `choices_of(group, block)`.
    """
    from hydra import compose
    from omegaconf import OmegaConf

    with _LOCK, _composer({group: block}):
        composed = OmegaConf.to_container(compose(f"{group}/{choice}"), resolve=True)
    assert isinstance(composed, dict)
    return dict(composed[group])


@contextmanager
def _composer(groups: Mapping[str, Block]) -> Iterator["ConfigStore"]:
    """Hydra over conf/ and the records of groups; a program that runs on Hydra keeps its own."""
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra

    store, outer = ConfigStore.instance(), GlobalHydra.instance().hydra
    nodes = {name: deepcopy(store.repo.get(name)) for name in groups}
    GlobalHydra.instance().clear()
    try:
        for group, block in groups.items():
            if not (conf_root() / group / f"{block.choice}.yaml").is_file():
                store.store(str(block.choice), plain(block.record), group)
            for name, record in block.others.items():
                store.store(name, plain(record) | {"name": name}, group)
        with initialize_config_dir(str(conf_root().resolve()), version_base="1.3"):
            yield store
    finally:
        GlobalHydra.instance().hydra = outer  # of another instance, which Hydra made meanwhile
        store.repo |= {name: node for name, node in nodes.items() if node is not None}
        for name in [name for name, node in nodes.items() if node is None]:
            store.repo.pop(name, None)


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
    groups: Mapping[str, Block],
    modalities: Sequence[str],
    folder: Callable[[], Path],
    check: Callable[[int, list[str]], None],
    task: Callable[[Job], T],
) -> list[T]:
    """One job for each combination of values, made by Hydra's sweeper and launcher.

    Args:
        settings: `key=a,b` each.
        of_hydra: settings of Hydra itself, such as `hydra/launcher=joblib`.
        groups: those of the command.
        modalities: what can be chosen.
        folder: names the folder of the sweep, once all jobs are checked.
        check: is given the number and the words of each job before the first one starts.
        task: does a job; a launcher may send it to another process.

    Returns:
        What each job returned.

    Raises:
        LuminaError: Hydra refuses a setting, or there are too many jobs; or as `check` does.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException

    keys = [setting.partition("=")[0] for setting in settings]
    try:
        with _composer(groups) as store:
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None
            for number, words in enumerate(_jobs(settings, hydra.config_loader)):
                check(number, words)
            for name in modalities:
                store.store(name=name, node={}, group="modality")
            choices = {name: str(block.choice) for name, block in groups.items()}
            choices["modality"] = modalities[0]
            store.store(name="sweep", node=_sweep_node(keys, choices, folder()))
            done = hydra.multirun("sweep", partial(_do, task), [*settings, *of_hydra])
    except HydraException as error:
        reason = printable(str(error).partition("\nConfig search path")[0], MAX_REASON)
        raise LuminaError(f"Hydra refuses the sweep: {reason}") from error
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
