"""A plan for people and for machines, and what to lower where it does not fit."""

from dataclasses import replace
from typing import Any

from lumina_core import terminal
from lumina_core.records import BLOCKS, RESIDENT
from lumina_core.terminal import duration_text, flop_text, size_text
from lumina_core.training.plan import Plan, plan_run, plan_training
from lumina_core.training.plan_words import RunPlan, TrainPlan

SHOWN_SHARE = 0.005  # of the operations; smaller parts are not shown to people
MIN_PERCENT = 1  # of the sample or batch that is planned: no shorter one is advised


def plan_command(config: RunPlan | TrainPlan) -> int:
    """Run `plan`: print what a run or a training will cost."""
    plan = planned(config)
    lower = [] if plan.fits else advice(config, plan)
    if config.json:
        terminal.show_json(record_of(plan, lower))
    else:
        terminal.show(*lines_of(plan, lower))
    return 0


def planned(config: RunPlan | TrainPlan) -> Plan:
    """What a run or a training will cost.

    Raises:
        LuminaError: as `plan_run` and `plan_training`.
    """
    return plan_training(config) if isinstance(config, TrainPlan) else plan_run(config)


def advice(config: RunPlan | TrainPlan, plan: Plan) -> list[tuple[str, int]]:
    """Settings that lower the memory of a plan, each with the peak that it leads to, in bytes.

    The last one is the longest sample, or the largest batch, with which it fits, if there is one.
    """
    found = []
    if config.dtype == "float32":
        config = replace(config, dtype="bfloat16")
        plan = planned(config)
        found.append(("dtype=bfloat16", plan.peak))
    if isinstance(config, TrainPlan) and config.activation_checkpointing != BLOCKS:
        config = replace(config, activation_checkpointing=BLOCKS)
        plan = planned(config)
        found.append((f"activation_checkpointing={BLOCKS}", plan.peak))
    if isinstance(config, RunPlan) and plan.device != "cpu" and config.offload == RESIDENT:
        config = replace(config, offload=BLOCKS)
        plan = planned(config)
        found.append((f"offload={BLOCKS}", plan.peak))
    if not plan.fits:
        key, value = "tokens", plan.sizes.positions
        if isinstance(config, TrainPlan) and plan.batch > 1:
            key, value = "token_budget", config.token_budget
        if number := _largest(value, plan):
            found.append((f"{key}={number}", _with(plan, number / value)))
    return found


def _largest(value: int, plan: Plan) -> int | None:
    """How long a sample or batch may be, if activations grow with it as they do."""
    for percent in range(99, MIN_PERCENT - 1, -1):
        if _with(plan, percent / 100) <= plan.available:
            return percent * value // 100
    return None


def _with(plan: Plan, share: float) -> int:
    """The peak with a share of the activations."""
    parts = {
        name: int(share * size) if "activations" in name else size
        for name, size in plan.parts.items()
    }
    return replace(plan, parts=parts).peak


def lines_of(plan: Plan, lower: list[tuple[str, int]]) -> list[str]:
    """A plan for people."""
    sizes, is_run = plan.sizes, plan.command == "run"
    evaluation = sum(plan.evaluation.values())
    at_once = f", {plan.batch} at once" if plan.batch > 1 else ""
    shares = ", ".join(
        f"{part} {count / evaluation:.0%}"
        for part, count in sorted(plan.evaluation.items(), key=lambda item: -item[1])
        if count >= SHOWN_SHARE * evaluation
    )
    count = f" in {plan.num_evaluations} evaluations" if is_run else ""
    place = "this machine" if plan.device == "cpu" else "the GPU"
    lines = [
        f"{plan.command} of {plan.modality}: {sizes.positions:,} positions ({sizes.patches:,} "
        f"tokens) and at most {sizes.text:,} of text{at_once}",
        f"backbone: {plan.num_parameters:,} parameters",
        f"operations: {flop_text(plan.step)} per step, {plan.num_steps:,} steps{count}; "
        f"{flop_text(plan.total)} in all",
        f"  an evaluation of a sample: {flop_text(evaluation)} ({shares})",
        *(f"  {name}: {flop_text(count)}" for name, count in plan.beside.items() if count),
        f"memory: at most {size_text(plan.peak)} of the {size_text(plan.available)} of {place}, "
        f"for {plan.largest_stage}",
        *(f"  {name}: {size_text(size)}" for name, size in plan.parts.items() if size),
        f"time: at least {duration_text(plan.step / plan.speed)} per step, "
        f"{duration_text(plan.total / plan.speed)} in all, at {flop_text(plan.speed)}/s (measured)",
        *([f"on a GPU, one at a time: {_gpu_text(plan)}"] if plan.gpus else []),
        *(f"note: {note}" for note in plan.notes),
    ]
    if not plan.fits:
        lines.append("it does not fit; lower:")
        lines += [f"  {words}: {size_text(peak)}" for words, peak in lower]
        if not lower or lower[-1][1] > plan.available:
            lines.append(
                "  no size fits beside the weights; use a smaller network or another machine"
            )
    return lines


def _gpu_text(plan: Plan) -> str:
    """With which settings a sample fits on which GPU."""
    return "; ".join(
        f"{size} GB with {words}" if words else f"{size} GB too small"
        for size, words in plan.gpus.items()
    )


def record_of(plan: Plan, lower: list[tuple[str, int]]) -> dict[str, Any]:
    """A plan as JSON. Bytes, seconds, and operations of which a product and its sum are two."""
    return {
        "command": plan.command,
        "modality": plan.modality,
        "device": plan.device,
        "positions": plan.sizes.positions,
        "tokens": plan.sizes.patches,
        "text_tokens": plan.sizes.text,
        "samples_at_once": plan.batch,
        "num_parameters": plan.num_parameters,
        "num_steps": plan.num_steps,
        "num_evaluations": plan.num_evaluations,
        "flops": {
            "step": plan.step,
            "all": plan.total,
            "evaluation": plan.evaluation,
            "beside": plan.beside,
        },
        "memory": {
            "peak": plan.peak,
            "available": plan.available,
            "parts": plan.parts,
            "stages": {stage: plan.bytes_of(stage) for stage in plan.stages},
        },
        "seconds": {"step": plan.step / plan.speed, "all": plan.total / plan.speed},
        "flops_per_second": plan.speed,
        "fits": plan.fits,
        "gpus": {str(size): words for size, words in plan.gpus.items()},
        "lower": [{"words": words, "peak": peak} for words, peak in lower],
        "notes": list(plan.notes),
    }
