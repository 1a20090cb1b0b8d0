"""The captions on which checkpoints are compared stay captions, however the worlds grow."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from lumina_core.evaluation.compose import compose_evaluate
from lumina_core.files.reading import read_json
from lumina_core.plugins import host
from lumina_core.plugins.parts import make_modality
from lumina_core.sampling.examples import NO_FOLDER

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark():
    spec = spec_from_file_location("old_captions", ROOT / "benchmarks" / "old_captions.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", host.SHIPPED)
def test_old_captions_are_read_by_the_worlds_of_today(benchmark, name):
    config = compose_evaluate([f"modality={name}", "num_prompts=200"])
    world = make_modality(name, config.options, NO_FOLDER).world
    old = read_json(benchmark.FOLDER / f"{name}.json")
    for split in old["splits"]:
        cases = benchmark.old_cases(old, split, config)
        assert [case.request.seed for case in cases] == list(range(1, 201))
        assert len({case.request.options for case in cases}) > 1
        outside = [c.request.prompt for c in cases if world.nearest(c.request.prompt)]
        assert outside == []
        assert [world.task_of(c.request.prompt) for c in cases] == [c.task for c in cases]


def test_old_captions_of_an_unknown_split_are_refused(benchmark):
    config = compose_evaluate(["modality=audio", "splits=trainde"])
    with pytest.raises(benchmark.LuminaError, match="use trained, held_out, unseen_lengths"):
        benchmark.measure(config)
