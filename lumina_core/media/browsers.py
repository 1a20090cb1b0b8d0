"""Which files browsers show, and as what."""

CONTENT_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
}
"""By suffix, in lower case."""
IMAGE, VIDEO, AUDIO = "image", "video", "audio"


def shown_as(suffix: str) -> str | None:
    """IMAGE, VIDEO or AUDIO; None for a file that a browser only saves.

    Args:
        suffix: with its dot, in any case.
    """
    content_type = CONTENT_TYPES.get(suffix.lower())
    return None if content_type is None else content_type.partition("/")[0]
