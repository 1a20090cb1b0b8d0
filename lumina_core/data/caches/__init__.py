"""Latents and text features that were encoded ahead, on disk: their format, checked and mapped.

What encodes and writes them is training/caching.py.
"""
