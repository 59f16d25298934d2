"""A koi pond on 256x256 pixels: fish that swim, flee from taps and can be herded into a ring."""

from sims.koi_pond.env import IDLE_ACTION, VERSION, KoiPondEnv, KoiPondVectorEnv
from sims.koi_pond.koi import VARIETIES
from sims.koi_pond.scenery import RING_RADIUS, SIZE
from sims.koi_pond.shoal import FPS, MAX_KOI
from sims.koi_pond.simulation import MAX_PELLETS, MIN_KOI, TAP_THRESHOLD

__all__ = [
    "FPS",
    "IDLE_ACTION",
    "MAX_KOI",
    "MAX_PELLETS",
    "MIN_KOI",
    "RING_RADIUS",
    "SIZE",
    "TAP_THRESHOLD",
    "VARIETIES",
    "VERSION",
    "KoiPondEnv",
    "KoiPondVectorEnv",
]
