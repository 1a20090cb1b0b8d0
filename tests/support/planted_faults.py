"""Every planted fault; planting.py says how one is planted, planted/ has those of each part."""

from planted.decoder import DECODER
from planted.mishaps import MISHAPS
from planted.options import OPTION_RULES
from planted.package import PACKAGE
from planted.surroundings import SURROUNDINGS
from planted.tokenizer import TOKENIZER
from planted.vae import VAE_RULES
from planted.whole import WHOLE
from planted.world import WORLD_RULES

FAULTS = (
    *PACKAGE,
    *OPTION_RULES,
    *TOKENIZER,
    *VAE_RULES,
    *DECODER,
    *MISHAPS,
    *WORLD_RULES,
    *WHOLE,
    *SURROUNDINGS,
)
