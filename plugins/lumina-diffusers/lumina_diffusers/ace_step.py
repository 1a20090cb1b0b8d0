"""AceStepTransformer1DModel: ACE-Step 1.5 turbo, music in stereo from text, without words.

Its encoder reads the prompt inside a form that names the duration. The lyrics pass through the
encoder's embedding alone; the encoder is causal, so both stand in one text, with a mark between
them, and what was read of the prompt does not know of the rest. Then a second network makes one
condition of both and of silence.
Departures: lyrics are always LYRICS, which says that nobody sings; a sound is not brought to -1 dB
of full scale. Base models are refused: they are guided by APG, whose momentum lasts over steps.

Source: diffusers 0.42, ace_step_transformer.py, modeling_ace_step.py and pipeline_ace_step.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lumina_core import LuminaError
from lumina_core.autoencoder.networks import is_true
from lumina_core.flow.scheduler import solver_of_scheduler
from lumina_core.sequence import TokenBatch
from lumina_core.text.settings import Negative
from lumina_diffusers.network import Context, Group, config_of
from lumina_diffusers.sounds import SoundNetwork

CONDITION = "condition_encoder"
SHIFT = 3.0  # of the pipeline, which no scheduler holds
SILENT_COLUMNS = 750  # 30 s, as long as a sound that lends its timbre
TASK = "Fill the audio semantic mask based on the given conditions:"
METAS = "- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: {seconds} seconds\n"
END = "<|endoftext|>"
FORM = f"# Instruction\n{TASK}\n\n# Caption\n{{prompt}}\n\n# Metas\n{METAS}{END}\n"
LYRICS = f"# Languages\nen\n\n# Lyric\n[Instrumental]{END}"


class AceStepNetwork(SoundNetwork):
    """ACE-Step 1.5 turbo, and what makes its condition."""

    class_name = "AceStepTransformer1DModel"
    pipelines = ("AceStepPipeline",)
    batches_texts = False  # no mask of a condition
    scale = 1.0
    title = "ACE-Step"
    untrained = "captions are not put into the form that it reads"
    classes: ClassVar[Mapping[str, str]] = {CONDITION: "AceStepConditionEncoder"}
    folders = tuple(classes)

    @property
    def text_dim(self) -> int:
        """As in Network: an embedding and a feature for each token."""
        return 2 * int(self.condition_encoder.config["text_hidden_dim"])

    @classmethod
    def options(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """As in PackagedNetwork."""
        found = super().options(about)
        config = config_of(about, cls.class_name)
        if not (config["is_turbo"] or config["model_version"] == "turbo"):
            raise LuminaError(
                "this ACE-Step is a base model, which is guided by APG, and that is not built; use "
                "a turbo model"
            )
        return {**found, "patch": [1, 1]}

    @classmethod
    def token_dim(cls, about: Mapping[str, Any]) -> int:
        """As in PackagedNetwork."""
        return int(config_of(about, cls.class_name)["audio_acoustic_hidden_dim"])

    @classmethod
    def solver(
        cls, about: Mapping[str, Any], scheduler: Mapping[str, Any]
    ) -> tuple[dict[str, Any], list[str]]:
        """As in PackagedNetwork: the pipeline gives the scheduler its times, which it shifts."""
        if scheduler.get("num_train_timesteps", 1) != 1 or scheduler.get("shift", 1) != 1:
            raise LuminaError(
                "the scheduler counts time to more than 1 or shifts it, and this network gives it "
                "shifted times from 0 to 1; take the scheduler of the release"
            )
        return {
            **solver_of_scheduler({**scheduler, "num_train_timesteps": 1000}),
            "shift": SHIFT,
        }, []

    def worded(self, text: str | Negative, options: Any) -> str:
        """As in Network.

        Raises:
            LuminaError: guidance asks for a text to move away from.
        """
        if isinstance(text, Negative):
            raise LuminaError(
                "ACE-Step turbo takes no guidance, and the APG of its base models is not built; "
                "set guidance.scale=1"
            )
        return FORM.format(prompt=text, seconds=int(options.seconds)) + END + LYRICS

    def prepare(
        self, batch: TokenBatch, text: Tensor, text_lengths: Sequence[int], **ways: Any
    ) -> Context:
        """As in Network; texts become conditions."""
        found = super().prepare(batch, text, text_lengths, **ways)
        return Context(tuple(map(self._condition, found.texts)))

    def _condition(self, features: Float[Tensor, "text both"]) -> Float[Tensor, "place condition"]:
        """What the network reads, from a text that END parts into the prompt and the lyrics.

        Raises:
            LuminaError: the text is cut, or holds other marks.
        """
        encoder: Any = self.condition_encoder
        embedded, read = features.chunk(2, dim=1)
        is_end = (embedded == embedded[-1]).all(dim=1)
        if not is_true(is_end[-1], planned=False):  # a plan leaves out what is made once
            return read.new_zeros(len(read), int(encoder.config["hidden_size"]))
        ends = is_end.nonzero().flatten().tolist()
        is_added = len(embedded) - 2 in ends  # a mark that the tokenizer puts behind each text
        if len(ends) != 3 + is_added:  # of the form, between, of the lyrics
            raise LuminaError(f"the prompt is too long for its form, or holds {END}; shorten it")
        between = ends[-2 - is_added]
        halves = read[: between + is_added], embedded[between + 1 :]
        parts = [half[None].to(encoder.dtype) for half in halves]
        masks = [torch.ones_like(part[..., 0], dtype=torch.bool) for part in parts]
        condition, _ = encoder(
            *(parts[0], masks[0], parts[1], masks[1]),
            encoder.silence_latent[:, :SILENT_COLUMNS].to(encoder.dtype),
            torch.zeros(1, dtype=torch.long, device=read.device),
        )
        return condition[0]

    def inputs(self, group: Group) -> dict[str, Any]:
        """As in DiffusersNetwork."""
        cells, time = self.columns(group), self.shared_sigma(group)
        silence = self.condition_encoder.silence_latent[0].to(cells.dtype)
        places = torch.arange(cells.shape[1], device=cells.device) % len(silence)
        silence = silence[places].expand_as(cells)
        return {
            "hidden_states": cells,
            "timestep": time,
            "timestep_r": time,
            "encoder_hidden_states": torch.stack(list(group.texts)).to(cells.dtype),
            "context_latents": torch.cat([silence, torch.ones_like(cells)], dim=-1),
        }
