"""Modulation by segment, against the same formulas on rows that are gathered for each position."""

import pytest
import torch

from lumina_core.backbone.modulation import Modulation
from lumina_core.runtime import seeded

POSITIONS, SEGMENTS, WIDTH = 300, 7, 32
DTYPES = [
    (torch.float32, torch.float32),
    (torch.float32, torch.bfloat16),  # under autocast the rows are narrower than the stream
    (torch.bfloat16, torch.bfloat16),
]


def drawn(stream, rows):
    """Positions x and y, rows of segments shift, scale and gate, and the segment of each."""
    generator = seeded(0)
    index = torch.randint(SEGMENTS - 1, (POSITIONS,), generator=generator)  # one stands nowhere
    sizes = [(POSITIONS, stream)] * 2 + [(SEGMENTS, rows)] * 3
    parts = [torch.randn(n, WIDTH, generator=generator).to(d).requires_grad_() for n, d in sizes]
    return parts, index


def gathered(x, y, shift, scale, gate, index):
    shift, scale, gate = (each.index_select(0, index) for each in (shift, scale, gate))
    return torch.addcmul(shift, x, 1 + scale), x * (1 + scale), torch.addcmul(x, gate, y)


def by_segment(x, y, shift, scale, gate, index):
    whole, no_shift = Modulation(index, shift, scale, gate), Modulation(index, None, scale, gate)
    return whole.of_input(x), no_shift.of_input(x), whole.add(x, y)


@pytest.mark.parametrize(("stream", "rows"), DTYPES)
def test_modulation_is_to_the_bit_what_gathered_rows_give(stream, rows):
    parts, index = drawn(stream, rows)
    for found, wanted in zip(by_segment(*parts, index), gathered(*parts, index), strict=True):
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)


@pytest.mark.parametrize(("stream", "rows"), DTYPES)
def test_gradients_are_those_of_gathered_rows(stream, rows):
    """In half precision those of gathered rows are the worse: they add up in it."""
    parts, index = drawn(stream, rows)
    weights = torch.randn(3, POSITIONS, WIDTH, generator=seeded(1))

    def gradients(made, leaves):
        loss = sum((one * w).sum() for one, w in zip(made, weights, strict=True))
        return torch.autograd.grad(loss, leaves)

    exact = [part.detach().double().requires_grad_() for part in parts]
    wanted = gradients(gathered(*exact, index), exact)
    found = gradients(by_segment(*parts, index), parts)
    for got, part, want in zip(found, parts, wanted, strict=True):
        assert got.dtype == part.dtype
        near = 1e-6 if stream == rows == torch.float32 else 0.01
        assert (got - want).norm() <= near * want.norm()
        assert part.shape[0] == POSITIONS or not got[-1].any()


def test_no_row_of_a_position_is_kept():
    """Of positions, only what is modulated waits for the gradients."""
    (x, y, shift, scale, gate), index = drawn(torch.float32, torch.float32)
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        by_segment(x, y, shift, scale, gate, index)
    wide = [each for each in kept if each.shape == (POSITIONS, WIDTH)]
    assert {each.data_ptr() for each in wide} <= {x.data_ptr(), y.data_ptr()}
    assert len(wide) == 3


def test_gradients_repeat_to_the_bit():
    parts, index = drawn(torch.float32, torch.float32)

    def found():
        return torch.autograd.grad(sum(m.square().sum() for m in by_segment(*parts, index)), parts)

    first = found()
    for _ in range(3):
        assert all(torch.equal(one, other) for one, other in zip(found(), first, strict=True))


def test_a_part_that_is_not_trained_gets_no_gradient():
    (x, y, _, _, gate), index = drawn(torch.float32, torch.float32)
    frozen = gate.detach()
    Modulation(index, gate=frozen).add(x, y.detach()).sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))
    assert y.grad is None
