"""The roles of a backbone's weights, in every family: what an adapter changes, what is frozen.

Each weight has one role, by its name. A family may lack a role, or have no linear layer of it. The
network of a package says by names of its own what has which role (`PackagedNetwork.roles`).

| role | weights |
|---|---|
| attention | q, k, v and output of self-attention, their norms |
| feed_forward | the three matrices of each SwiGLU |
| text | how text enters: cross-attention and its gates, refiners of text, pooled text, labels |
| modulation | time embedding, adaLN of each block and of the output |
| projections | patches in and out, features, separators, pads of tokens |
| norms | before and after the layers of a block |

Imports no torch, for keys of `train` are checked by it.
"""

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from lumina_core.errors import LuminaError, nearest

if TYPE_CHECKING:
    from lumina_core.backbone.network import Network

_PATTERNS = {
    "text": r"(text|pooled)_(refiners|norm|linear|pad)\b|labels\.|"
    r"blocks\.\d+\.attention\.(text_|gate$)",
    "attention": r"(blocks|token_refiners)\.\d+\.attention\.",
    "feed_forward": r"(blocks|token_refiners)\.\d+\.feed_forward\.",
    "modulation": r"(time_embedding|final_modulation)\.|(blocks|token_refiners)\.\d+\.modulation\.",
    "projections": r"(inputs|outputs|features)\.|nextline$|nextframe$|token_pad$",
    "norms": r"(blocks|token_refiners)\.\d+\.\w+_norm\.",
}
"""By role, how the names of its weights begin; the first that fits counts."""
ROLES = tuple(_PATTERNS)


def role_of(name: str) -> str:
    """The role of a weight of a backbone."""
    return next(role for role, pattern in _PATTERNS.items() if re.match(pattern, name))


def check_roles(key: str, roles: Collection[str], known: Collection[str]) -> None:
    """Refuse roles that nothing has, or that are given twice.

    Args:
        key: in which they stand.
        roles: as a user gives them.
        known: that there are.

    Raises:
        LuminaError: names the first.
    """
    for role in roles:
        if role not in known:
            raise LuminaError(
                f"{key} has {role!r}; choose among {', '.join(known)}.{nearest(role, [*known])}"
            )
    if len(set(roles)) < len(roles):
        raise LuminaError(f"{key} is {list(roles)}; name each role once")


def linear_layers(backbone: "Network", roles: Collection[str]) -> list[str]:
    """The names of the linear layers of these roles.

    Raises:
        LuminaError: the backbone has none of one of them.
    """
    from torch import nn

    found: dict[str, list[str]] = {}
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Linear) and (role := backbone.role_of(f"{name}.weight")):
            found.setdefault(role, []).append(name)
    for role in roles:
        if role not in found:
            raise LuminaError(
                f"adapter.targets has {role}, and this network has no linear layer of that role; "
                f"choose among {', '.join(found)}"
            )
    return [name for role in roles for name in found[role]]
