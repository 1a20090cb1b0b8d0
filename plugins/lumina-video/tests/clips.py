"""Clips for the tests of files, and films as other programs write them."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from lumina_core import LuminaError
from lumina_video.options import VideoOptions
from lumina_video.video_files import VideoDecoder

FPS = 8.0
DECODER = VideoDecoder(FPS)
LOSSLESS = (".gif", ".webp", ".frames")
LEFT, RIGHT = (200, 30, 60), (20, 160, 90)
COLOUR_ERROR = 6  # grey levels of a plain colour after a lossy codec


def request(frames, fps=FPS, **more):
    return {
        "prompt": 'ünï 雪 🎨 "',
        "options": {"frames": frames, "seconds": None, "fps": fps},
    } | more


def write(media, path, metadata):
    """Write a clip at the rate that its request names."""
    fps = float(metadata.get("options", {}).get("fps", FPS))
    DECODER.write(media, path, metadata, VideoOptions(fps=fps))


def clip(frames, height=16, width=24):
    """Few colours, and no two frames alike."""
    media = torch.full((frames, 3, height, width), 40, dtype=torch.uint8)
    for number in range(frames):
        media[number, :, 2:8, 2 + number % (width - 8) : 8 + number % (width - 8)] = torch.tensor(
            [250, 80, number * 16 % 256], dtype=torch.uint8
        )[:, None, None]
    return media


def colours(frames):
    """A plain clip, a grey level for each frame."""
    levels = torch.linspace(30, 220, frames).to(torch.uint8)
    return levels[:, None, None, None].expand(frames, 3, 32, 48).contiguous()


def arrays(media):
    return [np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) for frame in media]


def film(path, media, *, fps=10, times=None, codec=None, sound=None, base=None, **settings):
    """A film as others write it; times are in ticks of the base, a tenth of a frame."""
    codec = codec or {"webm": "libvpx-vp9", "avi": "mpeg4"}.get(path.suffix[1:], "libx264")
    with av.open(str(path), "w", **settings.pop("container", {})) as out:
        stream = out.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width = media.shape[2:]
        stream.pix_fmt = settings.pop("pix_fmt", "yuv420p")
        stream.options = {
            "threads": "1",
            **({"cpu-used": "8"} if "vp9" in codec else {}),
            **settings,
        }
        if times:
            stream.codec_context.time_base = Fraction(1, 10 * fps)
        voice = None
        if sound:
            voice = out.add_stream(sound, rate=48_000)
            voice.layout = "mono"
        for number, array in enumerate(arrays(media)):
            frame = av.VideoFrame.from_ndarray(
                array, format="rgba" if len(media[0]) == 4 else "rgb24"
            )
            frame.pts = times[number] if times else number
            frame.time_base = (
                Fraction(1, 10 * fps) if times else 1 / Fraction(fps).limit_denominator(1001)
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
        if voice:
            for _ in range(100):  # two seconds and more
                samples = np.zeros((1, 1024), dtype=np.float32)
                noise = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
                noise.sample_rate = 48_000
                out.mux(voice.encode(noise))
            out.mux(voice.encode())
    return path


def levels(media):
    return media.float().mean((1, 2, 3))


def refusal(path, read=DECODER.read):
    with pytest.raises(LuminaError) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert len(str(caught.value)) > len(str(path)) + len(" cannot be read as a clip: ")
    return str(caught.value)
