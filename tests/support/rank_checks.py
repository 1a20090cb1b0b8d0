"""What the tests of ranks compute, alone or on ranks: `torchrun rank_checks.py FOLDER CASE ...`."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from lumina_core.backbone.parallel_plan import check_fit, distribute
from lumina_core.backbone.settings import BackboneConfig
from lumina_core.backbone.transformer import Backbone
from lumina_core.flow.objective import velocity_loss
from lumina_core.flow.path import interpolate, velocity
from lumina_core.parallel import ranks
from lumina_core.parallel.mesh import mesh_of
from lumina_core.parallel.settings import ParallelConfig
from lumina_core.parallel.sharded import clip_gradients, for_each_mesh, local, whole
from lumina_core.runtime import seeded
from lumina_core.sequence import Grid, TokenSample
from lumina_core.training.networks import Networks
from lumina_core.training.optimizer import build_optimizer
from lumina_core.training.settings import OptimizerConfig

TEXT, NUM_SAMPLES, NUM_STEPS = 12, 5, 2
CROSS = BackboneConfig(
    token_dims={"image": 6, "audio": 4}, feature_dims={"audio": 3}, hidden_size=32, depth=2,
    num_heads=4, num_kv_heads=2, text_dim=TEXT, conditioning_size=12, multiple_of=22,
    rope_dims=(0, 2, 2, 2, 2), initial_gate=0.5,
)  # fmt: skip
JOINT = replace(
    CROSS, head_norm=True, separators=False, rope="concatenated", rope_dims=(4, 2, 2),
    text="joint", refiners=1, pad_multiple=4, sandwich=True, final_shift=False, num_kv_heads=4,
)  # fmt: skip
CONFIGS = {"cross": CROSS, "joint": JOINT}
ODD = replace(CROSS, ffn_size=87, depth=1)
"""Of whose rows one rank has one more; of some matrices there are fewer than ranks."""
MESHES = {
    "fsdp": ParallelConfig(),
    "copies": ParallelConfig(replicate=2),
    "tensor": ParallelConfig(tensor=2),
    "sequence": ParallelConfig(sequence=2),
}
OPTIMIZERS = {
    name: OptimizerConfig(name=name, learning_rate=1e-3, muon_learning_rate=1e-2, clip_norm=0.5)
    for name in ("adamw", "muon")
}


def networks_of(name):
    torch.manual_seed(3)
    backbone = Backbone(ODD if name == "odd" else CONFIGS[name])
    generator = seeded(4)
    with torch.no_grad():
        for weight in backbone.parameters():  # a fresh one predicts 0 and has no gradients
            weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
    return Networks(backbone, None, "sdpa")


def sample_of(number):
    """A sample with all that is drawn for it; each modality has two of five, and odd lengths."""
    generator = seeded(5, number)
    modality = "audio" if number in (1, 4) else "image"
    grid = Grid(1 + number % 3 // 2, 3 + number, 2 + number % 3, (1.0, 1.0, 1.0))
    width = CROSS.token_dims[modality]
    tokens = torch.randn(grid.num_patches, width, generator=generator)
    features = torch.randn(grid.frames, 3, generator=generator) if modality == "audio" else None
    sample = TokenSample(modality, grid, tokens, features=features)
    text = torch.randn(2 + number % 3, TEXT, generator=generator)
    noise = torch.randn(tokens.numel(), generator=generator)
    return sample, text, torch.rand((), generator=generator), noise


def losses_of(networks, numbers):
    items = [sample_of(number) for number in sorted(numbers, key=lambda n: n in (1, 4))]
    samples, texts, times, noises = zip(*items, strict=True)
    batch = networks["backbone"].pack(list(samples))
    t, x_0 = torch.stack(times), torch.cat(noises)
    noisy = batch.with_state(
        interpolate(x_0, batch.state, t.repeat_interleave(batch.element_counts))
    )
    features = torch.cat(texts), tuple(map(len, texts))
    predicted = networks(noisy, batch.segment_time(t), features)
    return velocity_loss(predicted, velocity(x_0, batch.state), noisy.element_counts, weight=None)


def numbers_of(share, num_shares):
    """Samples of a share: uneven ones, and of two shares the second has audio alone."""
    if num_shares == 1:
        return list(range(NUM_SAMPLES))
    return [0, 2, 3] if share == 0 else [1, 4]


def trained(name, optimizer_name="adamw", mesh=None, dtype=torch.float32):
    """Loss, norm, gradients, weights and average of some steps with accumulation."""
    networks = networks_of(name)
    share, num_shares, shares = 0, 1, None
    if mesh is not None:
        check_fit(networks["backbone"].config, mesh.axes)
        distribute(networks, mesh, dtype)
        networks.sequence_group = mesh.sequence
        share, num_shares, shares = mesh.share, mesh.axes.num_shares, mesh.shares
    optimizer = build_optimizer(networks, OPTIMIZERS[optimizer_name])
    average = {name: weight.detach().clone() for name, weight in networks.named_parameters()}
    found = {"loss": [], "norm": []}
    for step in range(NUM_STEPS):
        numbers = numbers_of(share, num_shares)
        total = torch.zeros(())
        for is_last, part in ((False, numbers[:1]), (True, numbers[1:])):
            if mesh is not None:
                networks.set_requires_gradient_sync(is_last)
            loss = losses_of(networks, part).sum() / NUM_SAMPLES
            loss.backward()
            total += loss.detach()
        found["loss"].append(float(ranks.summed(total, shares)) if mesh else float(total))
        if step == 0:
            named = networks.named_parameters()
            found["gradients"] = {n: whole(p.grad).clone() for n, p in named if p.grad is not None}
        found["norm"].append(float(clip_gradients(networks.parameters(), 0.5)))
        optimizer.set_rate(1.0)
        optimizer.step()
        optimizer.zero_grad()
        with torch.no_grad():
            own = list(networks.parameters())
            for_each_mesh(torch._foreach_lerp_, list(average.values()), own, weight=0.3)
    found["weights"] = {n: whole(p).detach() for n, p in networks.named_parameters()}
    found["average"] = {name: whole(each) for name, each in average.items()}
    found["dtypes"] = {local(p).dtype for p in networks.parameters()}
    return found


def main(folder, cases):
    torch.set_num_threads(1)
    found = {}
    with ranks.joined():
        for case in cases:
            mesh, name, optimizer = case.split("-")
            dtype = torch.bfloat16 if mesh == "half" else torch.float32
            config = MESHES["fsdp" if mesh == "half" else mesh]
            found[case] = trained(name, optimizer, mesh_of(config, "cpu"), dtype)
        if ranks.rank() == 0:
            torch.save(found, folder / "found.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
