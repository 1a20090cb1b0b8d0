"""What a run or a training will cost, before any weight is read.

Weights and operations come from formulas (backbone/cost.py), memory from the code itself on tensors
without memory (backbone/trace.py), time from a matrix product that is measured here. A plan bounds
the memory from above, for the longest text, and the time from below: nothing is as fast as a
product of large matrices.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from math import sqrt

import torch

from lumina_core.backbone.cost import (
    FLOAT32_BYTES,
    Sizes,
    flops,
    muon_bytes,
    num_parameters,
    training_bytes,
)
from lumina_core.backbone.trace import training_step_bytes
from lumina_core.checkpoints.manifest import TEXT_ENCODER
from lumina_core.checkpoints.placement import Placement
from lumina_core.errors import LuminaError
from lumina_core.flow.guidance import end_of_guidance, is_guided_at
from lumina_core.flow.solver import TIME_COUNT, integrate, times_of
from lumina_core.records import BLOCKS, EXACT, RESIDENT
from lumina_core.runtime import resolve_device, resolve_dtype
from lumina_core.sampling.settings import Sampling
from lumina_core.sequence import Grid, TokenSample, pack
from lumina_core.text.frozen import RESIDENT_BYTES
from lumina_core.training import settings as training_settings
from lumina_core.training.adapter import trained_share
from lumina_core.training.machine import available_bytes, flops_per_second, program_bytes, rehearse
from lumina_core.training.plan_network import (
    evaluation_bytes,
    matrix_shape,
    num_weights,
    operations,
    weight_bytes,
)
from lumina_core.training.plan_parts import Part, vae_part
from lumina_core.training.plan_subject import Subject, subject_of_run, subject_of_training
from lumina_core.training.plan_words import MAX_TOKENS, RunPlan, TrainPlan

SAME_SHARE = 0.1  # of weights of one type a file differs by less, for its header
NUM_STATES = 4  # of a weight that AdamW trains: itself, two moments and an average
GPU_GIGABYTES = (8, 12, 24, 80)  # of GPUs that people have
TEXT_ON_CPU, IN_TURN, STREAMED = SAVING = (
    "text_encoder_device=cpu",
    "guidance.in_turn=true",
    f"offload={BLOCKS}",
)
"""Settings that need less memory of a GPU, the last of them slowest."""
WAYS = sorted(
    (frozenset(each) for count in range(4) for each in combinations(SAVING, count)),
    key=lambda each: (STREAMED in each, len(each), IN_TURN in each),
)
CPU_ALLOCATION = 1.25  # what malloc takes of a step over the tensors that are alive; measured (log)


@dataclass(frozen=True)
class Plan:
    """What a run or a training will cost. Operations count a product and its sum as two."""

    command: str
    modality: str
    sizes: Sizes
    """Of one sample."""
    batch: int
    """Samples that are computed at once."""
    num_parameters: int
    """Of the backbone."""
    num_steps: int
    num_evaluations: int
    """Of the backbone, for one sample in all; a guided step has two for each."""
    evaluation: dict[str, int]
    """Operations of one evaluation for one sample, by part."""
    step: int
    """Operations of a step: of one sample that is made, or of a batch that is trained on."""
    beside: dict[str, int]
    """Operations of one sample beside the steps."""
    total: int
    """Operations in all."""
    parts: dict[str, int]
    """Memory of each part, in bytes."""
    stages: dict[str, tuple[str, ...]]
    """The parts that are there at once."""
    available: int
    """Memory of the device, in bytes."""
    device: str
    speed: float
    """Operations per second of a product of matrices."""
    notes: tuple[str, ...]
    gpus: Mapping[int, str | None]
    """By the size of a GPU in GB (10^9 bytes) the settings with which a request fits, as few and as
    fast as possible; None: with none. Empty for a training."""

    def bytes_of(self, stage: str) -> int:
        """Memory of a stage."""
        return sum(self.parts[part] for part in self.stages[stage])

    @property
    def largest_stage(self) -> str:
        """The stage that needs most memory."""
        return max(self.stages, key=self.bytes_of)

    @property
    def peak(self) -> int:
        """The most memory that is needed at once, in bytes."""
        return self.bytes_of(self.largest_stage)

    @property
    def fits(self) -> bool:
        """Whether the device has that memory."""
        return self.peak <= self.available


def plan_run(config: RunPlan) -> Plan:
    """What a request will cost.

    Raises:
        LuminaError: there is no such network, or it makes no medium of that size.
    """
    config = config.at_speed()
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    Placement(device, dtype, config.offload, config.quantise).check()
    with subject_of_run(config) as subject:
        item, vae = _sample_and_vae(subject, config.tokens)
        backbone, text = subject.backbone, subject.text
        speed = flops_per_second(*matrix_shape(backbone), dtype, device)
        rehearse(config.dtype, device, is_training=False)
        program = program_bytes(device)
        reading, decoding = text.use(), vae.use()
        sizes = _sizes(subject, item)
        copies = 2 if config.guidance.is_on and not config.guidance.in_turn else 1
        batch = 1
        if device.type != "cpu":
            batch = min(config.num_samples, config.token_budget // (copies * sizes.positions)) or 1
        weights = weight_bytes(backbone, dtype, config.offload, config.quantise)
        stored = subject.stored_bytes or weights
        exact = num_weights(backbone) * dtype.itemsize
        is_same = abs(stored - exact) < SAME_SHARE * exact  # else they are cast beside the file
        text_shape = sizes.text, subject.text_dim
        activations = evaluation_bytes(
            backbone, [item] * batch, text_shape, dtype, is_guided=copies == 2
        )
        counted = operations(backbone, item, sizes, subject.text_dim)
        per_evaluation = sum(counted.evaluation.values())
        num_evaluations, steps = _all_steps(subject, config, sizes, per_evaluation)
        beside = {
            "texts": (1 + config.guidance.is_on) * (reading.flops + sum(counted.once.values())),
            "decoding": decoding.flops,
        }
        on_gpu = text.num_bytes + reading.num_bytes, vae.num_bytes + decoding.num_bytes
        resident = ("text encoder",) * (text.num_bytes <= RESIDENT_BYTES)  # else it is given up
        held = ("program", "weights")
        return Plan(
            command="run",
            modality=subject.name,
            sizes=sizes,
            batch=batch,
            num_parameters=num_weights(backbone),
            num_steps=config.solver.num_intervals,
            num_evaluations=num_evaluations,
            evaluation=counted.evaluation,
            step=steps // config.solver.num_intervals,
            beside=beside,
            total=config.num_samples * (steps + sum(beside.values())),
            parts={
                "program": program,
                "weights": weights,
                "file of other weights": 0 if is_same else stored,
                "text encoder": text.num_bytes,
                "activations of the text encoder": reading.num_bytes,
                "activations of the steps": activations,
                "autoencoder": vae.num_bytes,
                "activations of decoding": decoding.num_bytes,
            },
            stages={
                "reading the weights": (*held, "file of other weights"),
                "reading the text": (*held, "text encoder", "activations of the text encoder"),
                "the steps": (*held, *resident, "activations of the steps"),
                "decoding": (*held, *resident, "autoencoder", "activations of decoding"),
            },
            available=available_bytes(device),
            device=device.type,
            speed=speed,
            notes=_notes(subject, vae),
            gpus=gpus(subject, item, sizes, is_guided=copies == 2, beside=on_gpu),
        )


def plan_training(config: TrainPlan) -> Plan:
    """What a training on one rank will cost.

    Raises:
        LuminaError: a part of it cannot be read, the modality has no medium of that size,
            `parallel` is for several ranks, or a batch is too large to be listed.
    """
    config.parallel.axes(num_ranks=1, num_nodes=1)
    if config.token_budget > MAX_TOKENS:
        raise LuminaError(
            f"token_budget={config.token_budget} is more than a plan counts; use at most "
            f"{MAX_TOKENS}"
        )
    device, dtype = resolve_device(config.device), resolve_dtype(config.dtype)
    with subject_of_training(config) as subject:
        item, vae = _sample_and_vae(subject, config.tokens)
        backbone, text, encoder = subject.settings, subject.text, config.text_encoder
        speed = flops_per_second(backbone.hidden_size, backbone.ffn_dim, dtype, device)
        rehearse(config.dtype, device, is_training=True)
        program = program_bytes(device)
        sizes = _sizes(subject, item)
        batch = config.token_budget // sizes.positions or 1
        is_frozen = config.adapter.is_used or TEXT_ENCODER in config.freeze
        learns = encoder.trainable and not is_frozen
        reading = text.use(batch if learns else 1, is_trained=learns)
        twice = config.activation_checkpointing == training_settings.BLOCKS
        found = training_step_bytes(backbone, [item] * batch, sizes.text, dtype, recomputes=twice)
        spread = CPU_ALLOCATION if device.type == "cpu" else 1.0
        whole = training_bytes(backbone, config.optimizer.name)
        share = trained_share(backbone, config)
        states = {k: n if k == "weights" else round(n * share) for k, n in whole.items()}
        counted = flops(backbone, subject.name, sizes)
        text_states = NUM_STATES * text.num_bytes if learns else text.num_bytes
        texts = reading.flops if learns else batch * reading.flops
        again = sum(n for part, n in counted.evaluation.items() if part != "tokens") if twice else 0
        is_taught = config.objective.name == training_settings.FEW_STEPS
        asked = 2 * config.objective.teacher_steps * is_taught  # with the text and without
        lessons = asked * sum(counted.evaluation.values())
        step = config.gradient_accumulation * (batch * (counted.training + again + lessons) + texts)
        kept = states["weights"] + states["moments"] + states["average"] + text_states
        num_encoded = batch if config.data.is_stream else config.data.pool_size
        latents = num_encoded * item.tokens.numel() * FLOAT32_BYTES
        muon = muon_bytes(backbone) if config.optimizer.name == "muon" else 0
        held = ("program", "weights", "moments", "average", "text encoder", "teacher", "latents")
        vae_held = (*held, "autoencoder")
        return Plan(
            command="train",
            modality=subject.name,
            sizes=sizes,
            batch=batch,
            num_parameters=num_parameters(backbone),
            num_steps=config.max_steps,
            num_evaluations=config.max_steps * config.gradient_accumulation * batch,
            evaluation=counted.evaluation,
            step=step,
            beside={},
            total=config.max_steps * step,
            parts={
                "program": program,
                **states,
                "activations": round(spread * max(0, found - whole["gradients"])),
                "text encoder": text_states,
                "its activations": reading.num_bytes,
                "teacher": is_taught * (states["weights"] + text.num_bytes),
                "latents": latents,
                "autoencoder": vae.num_bytes,
                "activations of decoding": vae.use().num_bytes,
                "products of Muon": muon,
                "copy of the state": kept,
            },
            stages={
                "a step": (*vae_held, "gradients", "activations", "its activations"),
                "an update": (*vae_held, "gradients", "products of Muon"),
                "a sheet of samples": (*vae_held, "activations of decoding"),
                "saving": (*vae_held, "copy of the state"),
            },
            available=available_bytes(device),
            device=device.type,
            speed=speed,
            notes=_notes(subject, vae),
            gpus={},
        )


def gpus(
    subject: Subject, item: TokenSample, sizes: Sizes, *, is_guided: bool, beside: tuple[int, int]
) -> dict[int, str | None]:
    """With which settings one sample fits on each GPU of GPU_GIGABYTES; see Plan.gpus.

    Args:
        subject: what is planned.
        item: the sample.
        sizes: of it.
        is_guided: whether it is computed twice.
        beside: bytes of reading the text and of decoding, the weights that these use included.
    """
    text, decoding = beside
    shape, dtype = (sizes.text, subject.text_dim), torch.bfloat16
    of_weights = {
        name: weight_bytes(subject.backbone, dtype, name, EXACT) for name in (RESIDENT, BLOCKS)
    }
    once = evaluation_bytes(subject.backbone, [item], shape, dtype, is_guided=False)
    both = once
    if is_guided:
        both = evaluation_bytes(subject.backbone, [item], shape, dtype, is_guided=True)
    peaks = {}
    for way in WAYS:
        if IN_TURN in way and not is_guided:
            continue
        weights = of_weights[BLOCKS if STREAMED in way else RESIDENT]
        used = weights + max(once if IN_TURN in way else both, decoding)
        words = " ".join(["dtype=bfloat16", *(each for each in SAVING if each in way)])
        peaks[words] = used if TEXT_ON_CPU in way else max(text, used)
    return {
        size: next((words for words, peak in peaks.items() if peak <= size * 10**9), None)
        for size in GPU_GIGABYTES
    }


def _sample_and_vae(subject: Subject, tokens: int | None) -> tuple[TokenSample, Part]:
    """A sample without content, and the autoencoder that makes it a medium."""
    separators = subject.backbone.separators
    modality, shape = subject.modality, None
    if tokens is not None:
        grid = Grid(1, 1, tokens - separators, step=(1.0, 1.0, 1.0))
        features = torch.zeros(1, modality.feature_dim) if modality.feature_dim else None
    else:
        shape = modality.vae.latent_shape(modality.media_shape(subject.options))
        grid = modality.tokenizer.grid(shape)
        features = modality.features(subject.options, grid)
    empty = torch.zeros(grid.num_patches, modality.tokenizer.token_dim)
    return TokenSample(subject.name, grid, empty, features=features), vae_part(modality, shape)


def _sizes(subject: Subject, item: TokenSample) -> Sizes:
    separators = subject.backbone.separators
    segments = pack([item], separators=separators).num_segments
    length = item.grid.num_positions(separators)
    return Sizes(item.grid.num_patches, length, subject.text_length, segments)


def _all_steps(
    subject: Subject, config: RunPlan, sizes: Sizes, per_evaluation: int
) -> tuple[int, int]:
    """Evaluations of one sample, and their operations; those of one begun small included."""
    coarse = config.coarse
    is_counted = subject.backbone.time_scale == TIME_COUNT
    if coarse.above is None or sizes.positions <= coarse.above:
        count = _num_evaluations(config, sizes.patches, is_counted)
        return count, count * per_evaluation
    factor = sqrt(coarse.tokens / sizes.positions)
    small = subject.modality.coarser(subject.options, factor) or subject.options
    item, _ = _sample_and_vae(replace(subject, options=small), None)
    first = _num_evaluations(config, item.grid.num_patches, is_counted)
    last = _num_evaluations(config, sizes.patches, is_counted, start=1 - coarse.strength)
    counted = operations(subject.backbone, item, _sizes(subject, item), subject.text_dim)
    steps = first * sum(counted.evaluation.values()) + last * per_evaluation
    return first + last, steps


def _num_evaluations(
    sampling: Sampling, num_tokens: int, is_counted: bool, *, start: float = 0.0
) -> int:
    """Evaluations of one sample; an adaptive solver takes as few as on a straight path, or more."""
    solver, guidance = sampling.solver.at_length(num_tokens), sampling.guidance
    times: list[float] = []

    def still(t: float, x: torch.Tensor) -> torch.Tensor:
        times.append(t)
        return torch.zeros_like(x)

    grid = times_of(solver, start, is_counted=is_counted)
    integrate(still, torch.zeros(1), solver, times=grid, noise=lambda: torch.zeros(1))
    end = end_of_guidance(grid, guidance.share_of_steps)
    num_guided = sum(is_guided_at(t, guidance) and t < end for t in times)
    return len(times) + num_guided


def _notes(subject: Subject, vae: Part) -> tuple[str, ...]:
    return tuple(part.note for part in (subject.text, vae) if part.note is not None)
