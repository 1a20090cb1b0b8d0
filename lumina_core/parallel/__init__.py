"""Many processes as one run: ranks, meshes, and what they agree on; knows no network."""
