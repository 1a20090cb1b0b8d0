"""Whether a text does nothing to a terminal."""

import unicodedata


def is_harmless(text):
    return all(
        char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        for char in text
    )
