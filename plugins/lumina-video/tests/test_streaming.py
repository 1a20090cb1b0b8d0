import pytest
import torch
from torch.nn.functional import conv1d

from lumina_video.streaming import Layer, streamed

WEIGHT = torch.tensor([[[0.5, -1.0, 2.0]]], dtype=torch.float64)


def convolved(x, *, causal, stride=1):
    """Three frames along time; the ends are repeated, as LTX does."""
    left = x[:, :, :1].expand(-1, -1, 2 if causal else 1, -1, -1)
    right = x[:, :, -1:].expand(-1, -1, 0 if causal else 1, -1, -1)
    line = torch.cat([left, x, right], dim=2).flatten()[None, None]
    return conv1d(line, WEIGHT, stride=stride).reshape(1, 1, -1, 1, 1)


def doubled(x, *, causal):
    """Two frames of each but the first."""
    return convolved(x, causal=causal).repeat_interleave(2, dim=2)[:, :, 1:]


def layers(*, causal, seen):
    before, after = (2, 0) if causal else (1, 1)

    def plain(x):
        seen.append(x.shape[2])
        return convolved(x, causal=causal)

    return [
        Layer(plain, before, after),
        Layer(lambda x: convolved(x, causal=causal, stride=2), before + 1, after, down=2),
        Layer(plain, before, after),
        Layer(lambda x: doubled(x, causal=causal), before, after, up=2),
        Layer(lambda x: doubled(x, causal=causal), before, after, up=2),
        Layer(lambda x: plain(plain(x)), 2 * before, 2 * after),
    ]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("sizes", [[1], [3], [1, 2], [5, 4, 4], [1] * 21, [2, 7, 1, 3, 12]])
def test_a_stream_is_the_whole(causal, sizes):
    frames = torch.randn(1, 1, sum(sizes), 1, 1, dtype=torch.float64)
    wanted = frames
    for layer in layers(causal=causal, seen=[]):
        wanted = layer.run(wanted)
    found = list(streamed(layers(causal=causal, seen=[]), iter(frames.split(sizes, dim=2))))
    assert all(chunk.shape[2] for chunk in found)
    torch.testing.assert_close(torch.cat(found, dim=2), wanted)


@pytest.mark.parametrize("causal", [False, True])
def test_windows_do_not_grow_with_the_stream(causal):
    longest = []
    for length in (41, 401):
        seen = []
        frames = torch.randn(1, 1, length, 1, 1, dtype=torch.float64)
        list(streamed(layers(causal=causal, seen=seen), iter(frames.split(4, dim=2))))
        longest.append(max(seen))
    assert longest[0] == longest[1] < 30
