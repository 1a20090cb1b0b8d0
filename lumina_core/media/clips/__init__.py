"""Clips as files: read, written, turned upright."""
