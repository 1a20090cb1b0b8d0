"""For authors of plugins: pictures, clips and shapes as tensors and as files."""
