"""A picture of what the latents of a cache become when they are decoded."""

from pathlib import Path

from lumina_core.checkpoints.vae_folder import modality_with_vae
from lumina_core.config.modality_file import build_options
from lumina_core.data.caches.manifest import differences
from lumina_core.data.caches.reading import Cache
from lumina_core.errors import LuminaError
from lumina_core.media.previews import save_contact_sheet
from lumina_core.training.cached import autoencoder_entry

NUM_SHOWN = 16


def write_sheet(folder: Path, path: Path) -> None:
    """Decode samples from the first to the last of a cache, and write them with their captions.

    Args:
        folder: of the cache.
        path: the PNG, replaced if it exists.

    Raises:
        LuminaError: the cache is damaged, its autoencoder is not there or another one, or the
            picture cannot be written.
    """
    cache = Cache(folder)
    name, encoding = cache.manifest["modality"], cache.manifest["encoding"]
    vae = cache.manifest["named"].get("vae")
    options = build_options(name, encoding["options"] | ({} if vae is None else {"vae": vae}))
    modality = modality_with_vae(name, options, download=False)
    for differing in differences(encoding["autoencoder"], autoencoder_entry(modality)):
        raise LuminaError(f"{vae} is not the autoencoder of {folder}: {differing}; put it back")
    usable = [number for number in range(len(cache)) if not cache.item(number).reason]
    shown = usable[:: max(1, len(usable) // NUM_SHOWN)][:NUM_SHOWN]
    previews = []
    for number in shown:
        sample = cache.tokens(number)
        latent = modality.tokenizer.detokenize(sample.tokens, sample.grid)
        media = modality.decode(latent, options)
        previews.append(modality.decoder.preview(media, options))
    save_contact_sheet(path, previews, [cache.item(number).caption for number in shown])
