"""The network: one configurable block, and a table per family of released models."""
