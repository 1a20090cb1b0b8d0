"""Media to latents by the autoencoders of diffusers folders, exactly and in bounded memory."""
