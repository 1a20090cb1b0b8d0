"""Faults against the rules of the contract about: tokenizer."""

from planting import (
    LARGE_LINES,
    NO_WORLD,
    PARTS,
    WORLD,
    grid,
    grid_tokenizer,
    line,
    line_tokenizer,
    reordered,
)

TOKENIZER = (
    line(
        "sizes_differ",
        "one length only",
        (WORLD, '({"samples": 96}, {"samples": 128}, {"samples": 192})', '({"samples": 96},)'),
        (WORLD, '({"samples": 96}, {"samples": 128}),', '({"samples": 96},),'),
        (WORLD, '({"samples": 256},)', '({"samples": 96},)'),
    ),
    line(
        "tokens_come_back",
        "the order is turned round",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.flip(0), grid)
"""),
    ),
    line(
        "tokens_come_back",
        "half precision in between",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.half().to(latent.dtype))
"""),
    ),
    grid(
        "tokens_come_back",
        "rows and columns are exchanged on the way back",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        tokens = rearrange(tokens, "(h w) d -> (w h) d", h=grid.rows * grid.frames)
        return super().detokenize(tokens, grid)
"""),
    ),
    grid(
        "tokens_come_back",
        "rows and columns within a token are exchanged",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        side = self.patch[1]
        tokens = rearrange(tokens, "n (h w c) -> n (w h c)", h=side, w=side)
        return super().detokenize(tokens, grid)
"""),
    ),
    grid(
        "tokens_come_back",
        "only square ones come back",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        if grid.rows != grid.columns:
            tokens = tokens.roll(1, 0)
        return super().detokenize(tokens, grid)
"""),
    ),
    line(
        "length_is_told",
        "one value too many is told",
        *line_tokenizer("""
    @property
    def token_dim(self):
        return super().token_dim + 1

    def detokenize(self, tokens, grid):
        tokens = rearrange(tokens, "n p -> (n p)")
        return rearrange(tokens, "(c f h w) -> c f h w", c=1, f=1, h=1)
"""),
    ),
    grid(
        "length_is_told",
        "a grid of pixels instead of tokens",
        *grid_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import replace

        found = super().grid(latent_shape)
        return replace(found, rows=found.rows * self.patch[1])
"""),
    ),
    line(
        "every_value_counts",
        "tokens are centred together",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent - latent.mean())
"""),
    ),
    grid(
        "every_value_counts",
        "neighbouring tokens are mixed",
        *grid_tokenizer("""
    def tokenize(self, latent):
        tokens = super().tokenize(latent)
        return tokens + 0.5 * tokens.roll(1, 0)
"""),
    ),
    grid(
        "every_value_counts",
        "one value of each token is left out",
        *grid_tokenizer("""
    def tokenize(self, latent):
        tokens = super().tokenize(latent).clone()
        tokens[:, -1] = 0
        return tokens
"""),
    ),
    grid("tokens_stand_in_reading_order", "column by column", *reordered("f w h")),
    grid("tokens_stand_in_reading_order", "frames innermost", *reordered("h w f")),
    line(
        "tokens_stand_in_reading_order",
        "from the end to the beginning",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent).flip(0)

    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.flip(0), grid)
"""),
    ),
    grid(
        "tokens_stand_in_reading_order",
        "the lowest row first, as in a plot",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.flip(2))

    def detokenize(self, tokens, grid):
        return super().detokenize(tokens, grid).flip(2)
"""),
    ),
    line(
        "dtypes_are_kept",
        "tokens are always float32",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.float())
"""),
    ),
    grid(
        "dtypes_are_kept",
        "latents are always float32",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.float(), grid)
"""),
    ),
    line(
        "tokenizer_leaves_its_input_alone",
        "the latent is held within limits in place",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.clamp_(-1, 1))
"""),
    ),
    grid(
        "tokenizer_leaves_its_input_alone",
        "tokens are rounded in place",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.round_(decimals=2), grid)
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "further channels are left out",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent[:1])
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "missing tokens are zeros",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        missing = torch.zeros(grid.num_patches - len(tokens), self.token_dim, dtype=tokens.dtype)
        return super().detokenize(torch.cat([tokens, missing]), grid)
"""),
    ),
    grid(
        "wrong_shapes_are_refused",
        "of a batch the first latent is taken",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent[0] if latent.ndim == 5 else latent)
"""),
    ),
    grid(
        "wrong_shapes_are_refused",
        "a grey latent becomes one of three channels",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.expand(self.channels, -1, -1, -1))
"""),
    ),
    line("positions_differ", "a step of zero", (PARTS, "UNIT = 1.0", "UNIT = 0.0")),
    grid("positions_differ", "no step along columns", (PARTS, "EXTENT / columns", "0.0")),
    grid(
        "positions_differ", "no step along frames", (PARTS, "FRAME_UNIT = 1.0", "FRAME_UNIT = 0.0")
    ),
    grid(
        "positions_differ",
        "whole numbers, which are zero in large pictures",
        (PARTS, "EXTENT / rows, EXTENT / columns", "EXTENT // rows, EXTENT // columns"),
    ),
    grid(
        "tokens_stand_in_reading_order",
        "the rows of all frames are one frame",
        *grid_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import replace

        found = super().grid(latent_shape)
        return replace(found, frames=1, rows=found.frames * found.rows)

    def detokenize(self, tokens, grid):
        rows = self.latent_rows if hasattr(self, "latent_rows") else grid.rows
        latent = super().detokenize(tokens, grid)
        return rearrange(latent, "c 1 (f h) w -> c f h w", h=rows * self.patch[1])

    def tokenize(self, latent):
        self.latent_rows = latent.shape[2] // self.patch[1]
        return super().tokenize(latent)
"""),
    ),
    line(
        "separators_are_counted_and_dropped",
        "a grid that counts its separators itself, without those between frames",
        *line_tokenizer("""
    def grid(self, latent_shape):
        from dataclasses import dataclass, fields

        from lumina_core import Grid

        @dataclass(frozen=True)
        class Counted(Grid):
            def num_positions(self, separators):
                return self.num_patches + separators * self.columns

        found = super().grid(latent_shape)
        return Counted(**{one.name: getattr(found, one.name) for one in fields(Grid)})
"""),
    ),
    line(
        "tokens_come_back",
        "no world to see that one divides by zero",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent / (latent.shape[0] - 1))
"""),
        sound=NO_WORLD,
    ),
    line(
        "tokens_come_back",
        "only large latents come back as others",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.roll(int(grid.columns > 1200), 0), grid)
"""),
        sound=LARGE_LINES,
    ),
    line(
        "sizes_differ",
        "two lengths",
        (WORLD, '({"samples": 96}, {"samples": 128}, {"samples": 192})', '({"samples": 96},)'),
        (WORLD, '({"samples": 256},)', '({"samples": 96},)'),
    ),
    grid(
        "sizes_differ",
        "squares only",
        (WORLD, "(1, 16, 32), (2, 32, 16), (1, 32, 32)", "(1, 16, 16), (2, 32, 32), (1, 32, 32)"),
    ),
    grid(
        "dtypes_are_kept",
        "tokens are brought to the CPU",
        *grid_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.cpu())
"""),
    ),
    line(
        "dtypes_are_kept",
        "latents are made anew where tensors are made",
        *line_tokenizer("""
    def detokenize(self, tokens, grid):
        latent = torch.zeros(1, 1, 1, grid.columns * self.patch[2], dtype=tokens.dtype)
        return latent + super().detokenize(tokens, grid).to(latent.device)
"""),
    ),
    line(
        "gradients_pass_the_tokenizer",
        "a latent is detached",
        *line_tokenizer("""
    def tokenize(self, latent):
        return super().tokenize(latent.detach())
"""),
    ),
    grid(
        "gradients_pass_the_tokenizer",
        "tokens are scaled for learning alone",
        *grid_tokenizer("""
    def detokenize(self, tokens, grid):
        return super().detokenize(tokens.detach() + (tokens - tokens.detach()) / 2, grid)
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "an empty latent is one token of zeros",
        *line_tokenizer("""
    def tokenize(self, latent):
        if not latent.numel():
            return torch.zeros(1, self.token_dim)
        return super().tokenize(latent)
"""),
    ),
    line(
        "wrong_shapes_are_refused",
        "None is asked for its shape",
        *line_tokenizer("""
    def tokenize(self, latent):
        latent = latent if latent.ndim == 4 else None
        self.grid(tuple(latent.shape))
        return super().tokenize(latent)
"""),
    ),
)
