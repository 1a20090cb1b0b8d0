"""Faults against the rules of the contract about: vae."""

from planting import (
    BOOLEAN,
    CONSTANT,
    GRID_DECODE,
    GRID_ENCODE,
    LINE_DECODE,
    LINE_ENCODE,
    NO_WORLD,
    PARTS,
    VAE,
    WEIGHTS,
    ahead,
    behind,
    grid,
    line,
)

VAE_RULES = (
    line(
        "latents_have_the_shape_they_are_said_to",
        "a latent of float64",
        (PARTS, "media.float() / STD", "media.double() / STD"),
    ),
    grid(
        "latents_have_the_shape_they_are_said_to",
        "a latent of half precision",
        (PARTS, "(pixels_of(media) - MEAN) / STD", "((pixels_of(media) - MEAN) / STD).half()"),
    ),
    grid(
        "latents_have_the_shape_they_are_said_to",
        "height and width are exchanged",
        (PARTS, "return colours, frames, height, width", "return colours, frames, width, height"),
    ),
    line(
        "latents_have_the_shape_they_are_said_to",
        "time is told along the frames",
        (PARTS, "return 1, 1, 1, media_shape[0]", "return 1, media_shape[0], 1, 1"),
    ),
    line(
        "media_come_back",
        "one sample is lost",
        (PARTS, ".clamp(-1, 1).cpu()", "[:-1].clamp(-1, 1)"),
    ),
    line(
        "media_come_back",
        "an axis too many",
        (PARTS, '"1 1 1 sample -> sample"', '"1 1 1 s -> 1 s"'),
    ),
    grid(
        "media_come_back",
        "frames of float32",
        (PARTS, GRID_DECODE, GRID_DECODE.replace(".cpu()", ".cpu().float()")),
    ),
    grid(
        "media_come_back",
        "height and width are exchanged",
        (PARTS, '"c f h w -> f c h w"', '"c f h w -> f c w h"'),
    ),
    grid(
        "media_come_back",
        "only the first frame is decoded",
        (PARTS, GRID_DECODE, GRID_DECODE.replace(".cpu()", ".cpu()[:1]")),
    ),
    line(
        "vae_is_deterministic",
        "the posterior is sampled",
        (PARTS, "media.float() / STD", "media.float() / STD + 1e-4 * torch.randn(len(media))"),
    ),
    grid(
        "vae_is_deterministic",
        "decoding dithers",
        (PARTS, "latent.float() * STD + MEAN", "latent * STD + MEAN + torch.rand(()) / 50"),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "levels are those of the first signal",
        (
            PARTS,
            LINE_ENCODE,
            "self.peak = getattr(self, 'peak', media.abs().max())\n        "
            + LINE_ENCODE.replace("/ STD", "/ self.peak / STD"),
        ),
    ),
    grid(
        "samples_do_not_depend_on_each_other",
        "a running mean",
        (
            PARTS,
            GRID_ENCODE,
            "pixels = pixels_of(media)\n"
            "        self.mean = 0.9 * getattr(self, 'mean', MEAN) + 0.1 * pixels.mean()\n        "
            + GRID_ENCODE.replace("- MEAN", "- self.mean"),
        ),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "what is decoded has the loudness of what was encoded last",
        (PARTS, LINE_ENCODE, f"self.peak = media.abs().max()\n        {LINE_ENCODE}"),
        (
            PARTS,
            LINE_DECODE,
            LINE_DECODE.replace("* STD", "* STD * getattr(self, 'peak', torch.tensor(1.0))"),
        ),
    ),
    line(
        "samples_do_not_depend_on_each_other",
        "the last latent of the same length is decoded again",
        (
            PARTS,
            LINE_DECODE,
            "known = self.__dict__.setdefault('known', {})\n"
            "        if latent.shape not in known:\n"
            "            known[latent.shape] = latent\n"
            "        latent = known[latent.shape]\n        " + LINE_DECODE,
        ),
    ),
    line(
        "vae_leaves_its_input_alone",
        "media are divided in place",
        (PARTS, "media.float() / STD", "media.float().div_(STD)"),
    ),
    grid(
        "vae_leaves_its_input_alone",
        "a latent is scaled in place",
        (PARTS, "latent.float() * STD + MEAN", "latent.mul_(STD).add_(MEAN)"),
    ),
    line("latents_are_normalised", "a scale left out", (PARTS, "STD = 0.5", "STD = 1.0")),
    grid(
        "latents_are_normalised",
        "a shift left out",
        (PARTS, "MEAN, STD = -0.55", "MEAN, STD = 0.0"),
    ),
    grid(
        "latents_are_normalised",
        "grey levels instead of pixels",
        (PARTS, "(pixels_of(media) - MEAN) / STD", "media.float()"),
    ),
    grid(
        "latents_are_normalised",
        "one channel is not scaled",
        (
            PARTS,
            GRID_ENCODE,
            "latent = (pixels_of(media) - MEAN) / STD\n        latent[:, 2] *= 3\n"
            '        return rearrange(latent, "f c h w -> c f h w")',
        ),
    ),
    line(
        "oracle_recognises_round_trips",
        "decoding forgets the scale",
        (PARTS, "latent.float() * STD", "latent.float()"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "decoding forgets the shift",
        (PARTS, "latent.float() * STD + MEAN", "latent.float() * STD"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "colours come back as blue, green, red",
        (PARTS, "latent.float() * STD + MEAN", "latent.flip(0) * STD + MEAN"),
    ),
    grid(
        "oracle_recognises_round_trips",
        "frames come back upside down",
        (PARTS, "latent.float() * STD + MEAN", "latent.flip(2, 3) * STD + MEAN"),
    ),
    line("wild_latents_become_media", "no limits", (PARTS, ".clamp(-1, 1)", "")),
    line("wild_latents_become_media", "one limit", (PARTS, ".clamp(-1, 1)", ".clamp(max=1)")),
    grid(
        "wild_latents_become_media",
        "levels wrap around",
        (
            PARTS,
            GRID_DECODE,
            'levels = rearrange(latent * STD + MEAN, "c f h w -> f c h w") * 127.5 + 127.5\n'
            "        return levels.round().int().remainder(256).to(torch.uint8)",
        ),
    ),
    line(
        "wild_latents_become_media",
        "large latents are refused",
        (
            PARTS,
            LINE_DECODE,
            "if latent.abs().max() > 6:\n"
            f'            raise LuminaError("no such latent")\n        {LINE_DECODE}',
        ),
    ),
    line(
        "wild_latents_become_media",
        "silence that has no limits",
        (PARTS, ".clamp(-1, 1)", ""),
        sound=CONSTANT,
    ),
    line(
        "wild_latents_become_media",
        "large latents of what is true or false are refused",
        ahead(
            PARTS,
            "return rearrange((latent > 0).float()",
            'if latent.abs().max() > 6:\n            raise LuminaError("no such latent")\n        ',
        ),
        sound=BOOLEAN,
    ),
    line(
        "memory_grows_with_the_size",
        "every sample is compared with every other",
        (
            PARTS,
            LINE_ENCODE,
            "media = media + 0 * (media[:, None] - media[None]).mean(dim=1)\n"
            f"        {LINE_ENCODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "decoding attends from each pixel to each",
        (
            PARTS,
            GRID_DECODE,
            'flat = rearrange(latent[0], "f h w -> (f h w)")\n'
            f"        latent = latent + 0 * (flat[:, None] * flat).mean()\n        {GRID_DECODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "all frames before each frame are kept",
        (
            PARTS,
            GRID_ENCODE,
            "seen = [media[: n + 1].float() for n in range(len(media))]\n"
            f"        media = seen[-1].to(media.dtype)\n        {GRID_ENCODE}",
        ),
    ),
    line(
        "memory_grows_with_the_size",
        "encoding attends from each token to each",
        (
            PARTS,
            LINE_ENCODE,
            'tokens = rearrange(media.float(), "(n p) -> n p", p=8)\n'
            f"        media = media + 0 * (tokens @ tokens.T).mean()\n        {LINE_ENCODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "decoding attends between cells of four pixels a side",
        (
            PARTS,
            GRID_DECODE,
            'cells = rearrange(latent, "c f (h p) (w q) -> (f h w) (c p q)", p=4, q=4)\n'
            f"        latent = latent + 0 * (cells @ cells.T).mean()\n        {GRID_DECODE}",
        ),
    ),
    grid(
        "memory_grows_with_the_size",
        "each pixel of a frame is compared with those of all frames",
        (
            PARTS,
            GRID_ENCODE,
            "scores = media[:, None].float() * media[None]\n"
            f"        media = media + (0 * scores.mean()).to(media.dtype)\n        {GRID_ENCODE}",
        ),
    ),
    line(
        "latents_have_the_shape_they_are_said_to",
        "no world to see that encoding fails",
        (PARTS, LINE_ENCODE, LINE_ENCODE.replace("media.float()", "media.floats()")),
        sound=NO_WORLD,
    ),
    grid(
        "media_come_back",
        "no world to see that a frame is lost",
        (PARTS, GRID_DECODE, GRID_DECODE.replace(".cpu()", ".cpu()[:, :, 1:]")),
        sound=NO_WORLD,
    ),
    line(
        "vae_goes_to_a_device",
        "nothing is returned",
        behind(PARTS, VAE, "\n    def to(self, device):\n        pass\n"),
    ),
    grid(
        "vae_goes_to_a_device",
        "no device at all",
        behind(PARTS, VAE, "\n    def to(self, device):\n        return self.moved[device]\n"),
    ),
    line(
        "vae_goes_to_a_device",
        "precision is lowered on the way",
        behind(
            PARTS,
            VAE,
            "\n    def to(self, device):\n"
            "        self.encode = lambda media: SproutVAE().encode(media.half())\n"
            "        return self\n",
        ),
    ),
    line(
        "threads_share_the_parts",
        "one call at a time, the other fails",
        (
            PARTS,
            LINE_ENCODE,
            "if self.__dict__.setdefault('busy', []):\n"
            '            raise RuntimeError("busy")\n'
            "        self.busy.append(1)\n"
            "        for value in 50 * media.tolist():\n            float(value)\n"
            f"        self.busy.clear()\n        {LINE_ENCODE}",
        ),
    ),
    line(
        "weights_wait_for_their_use",
        "weights are read when the parts are made",
        (PARTS, "self.folder = folder\n", "self.folder = folder\n        self.read = self.scale\n"),
        sound=WEIGHTS,
    ),
    line(
        "weights_wait_for_their_use",
        "weights are read to tell a shape",
        ahead(PARTS, "return 1, 1, 1, media_shape[0]", "self.read = self.scale\n        "),
        sound=WEIGHTS,
    ),
    line(
        "threads_share_the_parts",
        "a buffer that all calls share",
        (
            PARTS,
            LINE_ENCODE,
            "self.buffer = torch.zeros(len(media))\n"
            "        for n in range(len(media)):\n"
            "            self.buffer[n] = media[n] / STD\n"
            '        return rearrange(self.buffer.clone(), "sample -> 1 1 1 sample")',
        ),
    ),
    grid(
        "threads_share_the_parts",
        "what a method leaves for the next on the object",
        (
            PARTS,
            GRID_DECODE,
            "self.latent = latent.float() * STD\n"
            "        for channel in range(3):\n"
            "            self.latent[channel] += MEAN\n"
            '        return levels_of(rearrange(self.latent, "c f h w -> f c h w")).cpu()',
        ),
    ),
)
