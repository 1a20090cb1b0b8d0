"""Two ranks that torchrun starts train as one process does."""

import json

import pytest
from on_ranks import on_ranks

from lumina_core.cli.main import main
from lumina_core.data import synthetic

STEPS = ("max_steps=3", "gradient_accumulation=2", "save_every=0", "seed=5")
JOINT = "+modality=[image,audio]"
FAST = "optimizer.learning_rate=0.01"
BEGUN = "init_from="  # with the tiny checkpoint
MESHES = {
    "fsdp": [
        "optimizer=muon",
        "validate_every=3",
        "num_validation_samples=2",
        "sample_every=3",
        "num_sample_prompts=1",
    ],
    "broken": ["optimizer=adamw", "break 1", "break 2", "break 3"],
    "ddp": ["parallel=ddp", "optimizer=adamw"],
    "tensor": ["parallel=tensor", "optimizer=muon"],
    "sequence": ["parallel=sequence", "optimizer=muon"],
    "joint": [JOINT, "optimizer=adamw", "token_budget=600"],
    "frozen": [BEGUN, FAST, "freeze=[attention,norms]", "activation_checkpointing=blocks"],
    "compiled": ["parallel=ddp", "optimizer=adamw", "compile=true"],
    "adapted": [BEGUN, FAST, "adapter=lora", "adapter.targets=[attention,text]"],
}
"""By name the words beside those of a tiny training."""


def written(words):
    """The words of `train`, in which those of one modality become those of two."""
    if JOINT in words:
        words = [word.replace("modality.vae=", "modality.image.vae=") for word in words]
        words.remove("+modality=image")
    return ["train", *words]


def alike(words):
    """The words without how ranks share the work and compute it."""
    return [word for word in words if not word.startswith(("parallel=", "compile="))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_training, tiny_checkpoint, small_vocabulary):
    """What two ranks said, and the folders of both kinds of runs."""
    folder, more = tmp_path_factory.mktemp("trained"), {}
    for name, words in MESHES.items():
        begun = [f"{BEGUN}{tiny_checkpoint}" if word == BEGUN else word for word in words]
        more[name] = [*STEPS, *begun]
    runs = ["\n".join(written(tiny_training(folder / n, *words))) for n, words in more.items()]
    done = on_ranks("train_ranks.py", synthetic.NUM_VOCABULARY_CAPTIONS, *runs)
    assert done.returncode == 0, done.stderr
    return done, folder, {name: alike(words) for name, words in more.items()}


@pytest.fixture(scope="module")
def alone(trained, tiny_training):
    """By the words of a run, what one process measures; equal ones run once."""
    from train_ranks import breaking

    from lumina_core.data.pool import LatentPool

    _, folder, words = trained
    found = {}
    for name, more in words.items():
        if tuple(more) not in found:
            out, whole = folder / f"alone-{name}", LatentPool.get
            broken = {int(word[6:]) for word in more if word.startswith("break ")}
            LatentPool.get = breaking(broken) if broken else whole
            plain = [word for word in more if not word.startswith("break ")]
            assert main(written(tiny_training(out, *plain))) == 0
            LatentPool.get = whole
            found[tuple(more)] = measured(out)
    return {name: found[tuple(more)] for name, more in words.items()}


def measured(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {
        key: [line[key] for line in lines if key in line]
        for key in ("loss", "gradient_norm", "loss_of", "loss_at", "token_share", "validation_loss")
    }


@pytest.mark.parametrize("name", MESHES)
def test_two_ranks_measure_what_one_process_measures(trained, alone, name):
    found, wanted = measured(trained[1] / name), alone[name]
    assert len(found["loss"]) == 3 and all(found["gradient_norm"])
    assert found["loss"] == pytest.approx(wanted["loss"], rel=1e-5)
    assert found["gradient_norm"] == pytest.approx(wanted["gradient_norm"], rel=1e-4)
    for key in ("loss_of", "loss_at", "token_share", "validation_loss"):
        assert len(found[key]) == len(wanted[key])
        for ours, theirs in zip(found[key], wanted[key], strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)


def test_rank_0_alone_writes_and_speaks(trained):
    done, folder, _ = trained
    assert done.stdout.count('{"checkpoint": ') == len(MESHES)
    assert done.stderr.count("step 1/3 ") == len(MESHES)
    assert [path.name for path in (folder / "fsdp" / "samples").iterdir()] == ["step-0000003.png"]
    for name in MESHES:
        assert [path.name for path in (folder / name / "checkpoints").iterdir()] == ["step-0000003"]


def test_the_checkpoint_of_two_ranks_is_that_of_one(trained, alone):
    from safetensors.torch import load_file

    _, folder, _ = trained
    ours, theirs = (
        load_file(folder / name / "checkpoints/step-0000003/backbone.safetensors")
        for name in ("fsdp", "alone-fsdp")
    )
    assert ours.keys() == theirs.keys()
    for key in theirs:
        assert (ours[key] - theirs[key]).abs().max() < 1e-5, key
