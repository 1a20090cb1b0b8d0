"""Trains the demo that all modalities share, in legs, and exports it.

    python .ci/train_demo.py [NUM]

LEGS has all of it. A leg takes less than 150 minutes of two CPUs: an autoencoder is trained on one,
the backbone by two processes that share each step. One that is done is left out, one
that was stopped (Ctrl-C saves it) goes on where it was, so the same command leads to the end
however often it is stopped. NUM is how many legs to do now; without it all that are left. The
checkpoint is then in outputs/demo/checkpoint.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

OUT = Path("outputs/demo")
RANKS = 2
TORCHRUN = ("-m", "torch.distributed.run", f"--nproc-per-node={RANKS}")
TRAINED = "+modality=[image,video,multiview,audio]"


class Leg(NamedTuple):
    """One command."""

    folder: str
    """In OUT; legs of one folder are one training, whose rate stays high until its last step."""
    words: tuple[str, ...]
    """The command and its settings; `{out}` stands for OUT."""
    steps: int = 0
    """After which a training ends; an autoencoder says it in its words, and is made anew if it
    was stopped.
    """

    @property
    def is_autoencoder(self) -> bool:
        """Whether it trains one."""
        return self.words[0] == "train-vae"

    @property
    def is_done(self) -> bool:
        """Whether its result is there."""
        if self.is_autoencoder:
            return (OUT / self.folder / "config.json").is_file()
        found = (OUT / self.folder / "checkpoints").glob("step-*/lumina.json")
        return any(int(path.parent.name.removeprefix("step-")) >= self.steps for path in found)

    @property
    def command(self) -> list[str]:
        """What to run now."""
        out = f"out={OUT / self.folder}"
        name, *words = (word.format(out=OUT, **MADE) for word in self.words)
        words = [*words, out, "num_threads=1"]  # nearly as fast as two for models of this size
        if self.is_autoencoder:
            return [name, *words]
        words.append(f"max_steps={self.steps}")
        if (OUT / self.folder / "config.json").is_file():
            words = ["resume=true", out, f"max_steps={self.steps}"]
        return [name, *words]

    @property
    def program(self) -> list[str]:
        """What runs the command."""
        launched = () if self.is_autoencoder else TORCHRUN
        return [sys.executable, *launched, "-m", "lumina_core"]


BEGUN = Path(__file__).with_name("demo_in_training")
"""What an unfinished training came to. While it is there, the recipe goes on with it: its legs
before are left out, and latents stay those of its encoders."""
IMAGE, VIDEO, VIEWS, SOUND = (
    ("train-vae", f"+modality={name}", "dtype=bfloat16")
    for name in ("image", "video", "multiview", "audio")
)
LONGER = ("batch_size=12", "learning_rate=0.0015")
SHORTER = ("max_steps=1500", "batch_size=5", "learning_rate=0.0015")
WIDER = ("batch_size=3", "learning_rate=0.0015")
DECODER = "decoder_only=true"  # what is learned before keeps its latents
ENCODERS = (
    Leg("image-1", IMAGE),
    Leg("image-2", (*IMAGE, "init_from={out}/image-1", "max_steps=5000", *LONGER)),
    Leg(
        "image-3",
        (
            *(*VIDEO, "init_from={out}/image-2", "edge_weight=2"),
            *("max_steps=600", "batch_size=3", "learning_rate=0.0012"),
        ),
    ),
    Leg("views-1", (*VIEWS, "init_from={out}/image-3", *SHORTER)),
    Leg("views-2", (*VIEWS, "init_from={out}/views-1", DECODER, *SHORTER)),
    Leg("sound-1", (*SOUND, "max_steps=1600", "batch_size=2")),
    Leg("sound-2", (*SOUND, "init_from={out}/sound-1", "max_steps=2400", "batch_size=2")),
    Leg("sound-3", (*SOUND, "init_from={out}/sound-2", "max_steps=1600", *WIDER)),
    Leg("sound-4", (*SOUND, "init_from={out}/sound-3", DECODER, "max_steps=1500", *WIDER)),
)
MADE = {
    name: BEGUN / "vae" / modality if BEGUN.is_dir() else OUT / folder
    for name, modality, folder in (
        ("image", "image", "image-3"),
        ("pictures", "image", "image-4"),
        ("clips", "video", "clips-1"),
        ("views", "multiview", "views-2"),
        ("sound", "audio", "sound-4"),
    )
}
FAINT_EDGES = (DECODER, "edge_weight=4", "max_steps=2200")
DECODERS = (
    Leg("image-4", (*IMAGE, "init_from={image}", *FAINT_EDGES, *LONGER)),
    Leg("clips-1", (*VIDEO, "init_from={image}", *FAINT_EDGES, *WIDER)),
)
JOINT = (
    *("train", TRAINED, "dtype=bfloat16"),
    *("modality.image.vae={pictures}", "modality.video.vae={clips}"),
    *("modality.multiview.vae={views}", "modality.audio.vae={sound}"),
    *("backbone.hidden_size=192", "backbone.rope_dims=[8,12,12,8,8]"),
    *("text_encoder.depth=3", "text_encoder.max_tokens=48"),
    *("mixing.image=0.29", "mixing.video=0.32", "mixing.multiview=0.2", "mixing.audio=0.19"),
    *("position_jitter.image=0.3", "keep_last=1", "parallel=ddp"),
    "token_budget=5800",  # of both processes: half of it, each pays the same for less (log)
    *("data.image.pool_size=3072", "data.video.pool_size=1536"),
    *("data.multiview.pool_size=512", "data.audio.pool_size=768"),
    *("data.image.refresh_per_step=3", "data.video.refresh_per_step=2"),
    *("data.multiview.refresh_per_step=1", "data.audio.refresh_per_step=1"),
)
# more samples in each step: what captions mean is learned at small sizes, and sizes afterwards
SMALL = ("data.image.max_tokens=64", "data.video.max_tokens=150", "data.multiview.max_tokens=160")
STEADY = (*JOINT, "optimizer.decay_share=0")
# the training decides how many steps of the backbone are needed, and its size
AT_SMALL_SIZES = tuple(Leg("small", (*STEADY, *SMALL), steps) for steps in (3000, 6000))
START = BEGUN if BEGUN.is_dir() else "{out}/small"
AT_ALL_SIZES = (
    *(Leg("steady", (*STEADY, f"init_from={START}"), steps) for steps in (3000, 6000)),
    Leg("falling", (*JOINT, "init_from={out}/steady", "optimizer.decay_share=1"), 4000),
)
ANEW = (*ENCODERS, *DECODERS, *AT_SMALL_SIZES, *AT_ALL_SIZES)
LEGS = AT_ALL_SIZES if BEGUN.is_dir() else ANEW
ADVICE: dict[str, dict[str, Any]] = {
    "image": {"coarse": {"above": 132, "strength": 0.5}, "longest_side": 24.0},
    "audio": {"position_limit": 32.0},  # 4 s, the longest of training
}
"""How the demo is sampled best, by modality; docs/use/resolution.md has the figures."""


def train(most: int | None = None) -> bool:
    """Do the legs that are left, at most so many of them; whether all are done."""
    left = [leg for leg in LEGS if not leg.is_done]
    for leg in left[:most]:
        subprocess.run([*leg.program, *leg.command], check=True)
        if not leg.is_done:
            sys.exit(f"{OUT / leg.folder} was stopped; give the same command to go on")
    return all(leg.is_done for leg in LEGS)


def ship() -> Path:
    """Export the last leg, as the demo is shipped."""
    import torch

    from lumina_core.checkpoints.folder import export

    checkpoint = OUT / "checkpoint"
    shutil.rmtree(checkpoint, ignore_errors=True)
    export(OUT / LEGS[-1].folder, checkpoint, torch.bfloat16, ADVICE)
    return checkpoint


if __name__ == "__main__":
    if train(int(sys.argv[1]) if len(sys.argv) > 1 else None):
        print(ship())
