"""Where training samples come from: files, worlds, the pool of latents."""
