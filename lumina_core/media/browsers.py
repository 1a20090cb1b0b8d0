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
"""Of what browsers show, by suffix in lower case."""
_SAVED = {".glb": "model/gltf-binary"}
IMAGE, VIDEO, AUDIO = "image", "video", "audio"


def content_type_of(suffix: str) -> str:
    """What a server calls a file.

    Args:
        suffix: with its dot, in any case.
    """
    return (CONTENT_TYPES | _SAVED).get(suffix.lower(), "application/octet-stream")


def shown_as(suffix: str) -> str | None:
    """IMAGE, VIDEO or AUDIO; None for a file that a browser only saves.

    Args:
        suffix: with its dot, in any case.
    """
    content_type = CONTENT_TYPES.get(suffix.lower())
    return None if content_type is None else content_type.partition("/")[0]
