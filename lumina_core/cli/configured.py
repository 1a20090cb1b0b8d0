"""The commands that are configured by keys: how each is composed, and what does it."""

import gc
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from lumina_core.config.keys import Command
from lumina_core.evaluation.compose import EVALUATE, compose_evaluate
from lumina_core.sampling.compose import INFER, RUN, compose_infer, compose_run
from lumina_core.training.compose import (
    CACHE,
    INDEX,
    TRAIN,
    TRAIN_VAE,
    compose_cache,
    compose_index,
    compose_train,
    compose_train_vae,
)


class Configured(NamedTuple):
    """One of these commands."""

    command: Command
    compose: Callable[[list[str]], Any]
    """From overrides to its record."""
    function: str
    """Module and function that does it; brings torch."""

    def execute(self, config: Any) -> int:
        """Do it; returns the exit code."""
        module, _, name = self.function.partition(":")
        path = f"lumina_core.{module}"
        if path not in sys.modules:
            gc.disable()  # what imports make stays: to look through it takes a tenth of the start
            try:
                import_module(path)
                gc.freeze()
            finally:
                gc.enable()
        return int(getattr(import_module(path), name)(config))


CONFIGURED = {
    each.command.name: each
    for each in (
        Configured(RUN, compose_run, "sampling.run:run_command"),
        Configured(INFER, compose_infer, "sampling.run:run_command"),
        Configured(TRAIN, compose_train, "training.command:train_command"),
        Configured(TRAIN_VAE, compose_train_vae, "training.train_vae:train_vae_command"),
        Configured(CACHE, compose_cache, "training.caching:cache_command"),
        Configured(INDEX, compose_index, "training.index:index_command"),
        Configured(EVALUATE, compose_evaluate, "evaluation.evaluate:evaluate_command"),
    )
}
