"""The families that there are, by name."""

from lumina_core.backbone.families.flag_dit import FLAG_DIT
from lumina_core.backbone.families.flag_dit_audio import FLAG_DIT_AUDIO
from lumina_core.backbone.families.lumina_image_2 import LUMINA_IMAGE_2
from lumina_core.backbone.families.next_dit import NEXT_DIT, NEXT_DIT_IMAGENET
from lumina_core.backbone.families.z_image import Z_IMAGE

FAMILIES = {
    family.name: family
    for family in (FLAG_DIT, FLAG_DIT_AUDIO, NEXT_DIT, NEXT_DIT_IMAGENET, LUMINA_IMAGE_2, Z_IMAGE)
}
