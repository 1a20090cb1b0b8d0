"""Trainings on ranks for the tests, several in a launch: `torchrun train_ranks.py NUMBER ...`.

NUMBER is that of the captions whose words text encoders learn. Each further argument holds the
words of one `train`, with lines between them; a line `break N` makes the samples of that number in
its source unusable on every rank.
"""

import sys
from functools import partial

import torch

from lumina_core.cli.main import main
from lumina_core.data import synthetic
from lumina_core.data.pool import LatentPool
from lumina_core.training import start
from lumina_core.training.compiling import compile_layers


def breaking(numbers):
    """The pool whose samples of these numbers turn out to be broken only when they are wanted."""

    def get(self, number, whole=LatentPool.get):
        return None if number in numbers else whole(self, number)

    return get


if __name__ == "__main__":
    torch.set_num_threads(1)
    # that of use takes minutes
    start.compile_layers = partial(compile_layers, backend="aot_eager")
    synthetic.NUM_VOCABULARY_CAPTIONS = int(sys.argv[1])
    whole, codes = LatentPool.get, []
    for argument in sys.argv[2:]:
        words = argument.split("\n")
        broken = {int(word.removeprefix("break ")) for word in words if word.startswith("break ")}
        LatentPool.get = breaking(broken) if broken else whole
        codes.append(main([word for word in words if not word.startswith("break ")]))
    sys.exit(max(codes))
