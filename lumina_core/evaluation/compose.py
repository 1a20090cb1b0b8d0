"""From the words of `evaluate` to its record."""

from lumina_core.config.compose import composed
from lumina_core.config.layers import build_record
from lumina_core.evaluation.settings import EvaluateConfig
from lumina_core.sampling.compose import RUN

EVALUATE = RUN._replace(name="evaluate", record=EvaluateConfig, read=lambda words: {})


def compose_evaluate(overrides: list[str]) -> EvaluateConfig:
    """What `evaluate` is asked for; see `compose_run`."""
    layers = composed(EVALUATE, overrides)
    return layers.built(lambda values: build_record(EvaluateConfig, layers.name, values))
