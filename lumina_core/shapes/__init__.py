"""Flat coloured shapes for synthetic worlds: their words, their drawing, and how to find them.

The extra `shapes` installs what finding needs.
"""
