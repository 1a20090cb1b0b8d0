"""Text to melodies: one world, one oracle, one kind of file, and two latents of the same media."""
