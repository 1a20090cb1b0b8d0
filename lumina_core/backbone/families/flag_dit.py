"""Flag-DiT from text to image (lumina_t2i): the first released model.

RoPE scaling is not read: in the released model it belongs to the constructor, here to the call
(`Backbone.prepare`). Sequences are packed, so `pad_token` is never read. The released model has no
[nextframe]; it becomes a copy of [nextline], the one separator that the trained network knows, so
that the first training on frames starts from an input it has met instead of from noise. With one
frame it is never read.

Source: Alpha-VLLM/Lumina-T2X, lumina_t2i/models/model.py (class DiT_Llama).
"""

from lumina_core.backbone.families.layouts import Family, Layout
from lumina_core.backbone.families.names import MODULATION, RELEASED_ENDS
from lumina_core.backbone.settings import SEQUENCE

SWITCHES = {"rope": SEQUENCE, "rope_theta": 10_000.0, "rope_dims": None, "initial_gate": 0.0}
T2X = (
    *RELEASED_ENDS,
    (r"^nextline$|^nextframe$", "eol_token"),
    MODULATION,
    (r"\.attention\.text_norm\.", ".attention_y_norm."),
    (r"\.text_wk\.", ".wk_y."),
    (r"\.text_wv\.", ".wv_y."),
    (r"\.text_k_norm\.", ".ky_norm."),
)
"""From our names to those of Lumina-T2X, as far as its models share them."""
T2X_INPUT, T2X_OUTPUT = "(c ph pw)", "(ph pw half c)"

FLAG_DIT = Family(
    name="flag_dit",
    switches=SWITCHES,
    layouts={
        "released": Layout(
            T2X,
            signature=("x_embedder.weight", "eol_token", "layers.0.attention.wk_y.weight"),
            unused=("pad_token",),
            copies=("nextframe",),
            input_patch=T2X_INPUT,
            output_patch=T2X_OUTPUT,
        )
    },
    channels=4,
)
