"""Settings of small backbones in the tests."""

JOINT = {
    "text": "joint",
    "rope": "concatenated",
    "rope_dims": (8, 12, 12),
    "refiners": 1,
    "pad_multiple": 16,
    "separators": False,
    "sandwich": True,
    "head_norm": True,
    "final_shift": False,
}
"""What a text in the same sequence changes, as the families of released models have it."""
