"""Koi seen from above: their varieties, and each fish's straight texture, painted once.

A texture is painted in body coordinates: along the fish from nose to tail tip, and across it. The
picture bends it along the spine of the swimming fish (`bodies.py`).
"""

import cv2
import numpy as np

VARIETIES = (
    "kohaku", "sanke", "showa", "tancho", "ogon",
    "platinum", "asagi", "utsuri", "benigoi", "chagoi",
)  # fmt: skip

WIDTH = 0.128  # half the body's width, as a share of the length
REACH = 17  # pixels from the spine to the texture's edge, fins included
TEXELS = 2  # texels a pixel
MARGIN = 3  # pixels of empty texture before the nose and behind the tail

_FINE = 2  # the painting is this much finer than the texture
_OUTLINE_AT = (0, 0.02, 0.05, 0.1, 0.17, 0.25, 0.33, 0.45, 0.58, 0.7, 0.8, 0.88, 1)
_OUTLINE = (0.42, 0.55, 0.68, 0.82, 0.94, 0.99, 1, 0.93, 0.73, 0.47, 0.28, 0.2, 0.14)

_WHITE, _RED, _BLACK = (246, 241, 231), (226, 62, 28), (30, 30, 36)
_GOLD, _YELLOW, _SILVER = (244, 182, 44), (250, 196, 66), (222, 228, 232)
_BLUE, _PALE_BLUE, _ORANGE = (74, 104, 138), (176, 198, 214), (242, 116, 40)
_BRONZE, _DARK_BRONZE = (176, 128, 74), (122, 84, 46)


def half_width(along: np.ndarray) -> np.ndarray:
    """Half the body's width at `along` (0 nose, 1 tail tip), as a share of its greatest value."""
    return np.interp(along, _OUTLINE_AT, _OUTLINE)


def columns(length: float) -> int:
    """Texels along the texture of a fish of `length` pixels."""
    return round((length + 2 * MARGIN) * TEXELS)


def paint(variety: int, length: float, random: np.random.Generator) -> np.ndarray:
    """Paints one fish.

    Args:
        variety: Index into `VARIETIES`.
        length: Nose to tail tip, in pixels.
        random: Draws the patches, spots and shades.

    Returns:
        (h, w, 4) uint8, RGB premultiplied by the alpha in the last channel; texel (y, x) lies
        `x / TEXELS - MARGIN` pixels behind the nose and `y / TEXELS - REACH` beside the spine.
    """
    scale = TEXELS * _FINE
    size = (columns(length), 2 * REACH * TEXELS)
    across, along = np.mgrid[: size[1] * _FINE, : size[0] * _FINE].astype(np.float32)
    along = ((along + 0.5) / scale - MARGIN) / length
    across = (across + 0.5) / scale - REACH
    outline = _smooth_outline(along, length)
    side = across / np.maximum(outline, 0.3)  # -1 and 1 at the body's edges
    colour, fin = _coat(VARIETIES[variety], along, side, random)
    colour = _modelled(colour, along, side, length)
    body = np.clip((outline - np.abs(across)) * 2.2 + 0.5, 0, 1) * (outline > 0.05)
    fins, rays = _fins(along, across, length)
    fin_colour = np.array(fin, np.float32) * (0.8 + 0.28 * rays[..., None])
    alpha = np.maximum(body, 0.62 * fins)
    picture = fin_colour + (colour - fin_colour) * body[..., None]
    layered = np.dstack([np.clip(picture, 0, 255) * alpha[..., None], 255 * alpha])
    texture = cv2.resize(layered.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return np.rint(texture).astype(np.uint8)


def _smooth_outline(along: np.ndarray, length: float) -> np.ndarray:
    places = np.linspace(-0.1, 1.1, 400)
    inside = (places >= 0) & (places <= 0.93)
    profile = half_width(places) * inside
    profile = np.convolve(np.pad(profile, 4, mode="edge"), np.full(9, 1 / 9), "valid")
    nose = np.sqrt(np.clip(1 - (1 - np.clip(places / 0.07, 0, 1)) ** 2, 0, 1))
    return np.interp(along, places, profile * nose).astype(np.float32) * WIDTH * length


def _noise(shape: tuple[int, ...], size: float, random: np.random.Generator) -> np.ndarray:
    """Smooth noise of unit variance whose blobs are about `size` texels wide."""
    rows, columns = (max(3, round(n / size)) for n in shape)
    coarse = random.standard_normal((rows, columns)).astype(np.float32)
    noise = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return noise / noise.std()


def _patches(
    along: np.ndarray,
    side: np.ndarray,
    spans: list[tuple[float, float]],
    random: np.random.Generator,
    *,
    breadth: float = 0.9,
) -> np.ndarray:
    """Saddles over the back between each span's ends, with wandering edges: cover in [0, 1]."""
    field = np.full(along.shape, -4, np.float32)
    for begin, end in spans:
        centre, half = (begin + end) / 2, (end - begin) / 2
        lean, wide = random.uniform(-0.35, 0.35), breadth * random.uniform(0.8, 1.15)
        blob = 1 - ((along - centre) / half) ** 2 - ((side - lean) / wide) ** 2
        field = np.maximum(field, blob)
    field += 0.3 * _noise(along.shape, 22, random)
    return np.clip(field * 4 + 0.5, 0, 1)[..., None]


def _spots(
    along: np.ndarray, side: np.ndarray, count: int, random: np.random.Generator
) -> np.ndarray:
    field = np.full(along.shape, -4, np.float32)
    for place in np.linspace(0.24, 0.8, count) + random.uniform(-0.04, 0.04, count):
        radius, beside = random.uniform(0.03, 0.055), random.uniform(-0.7, 0.7)
        blob = 1 - ((along - place) / radius) ** 2 - ((side - beside) / (7 * radius)) ** 2
        field = np.maximum(field, blob)
    field += 0.2 * _noise(along.shape, 14, random)
    return np.clip(field * 3 + 0.5, 0, 1)[..., None]


def _steps(count: int, random: np.random.Generator) -> list[tuple[float, float]]:
    """`count` spans along the back, from the head to before the tail, with gaps between."""
    edges = np.linspace(0.06, 0.86, count + 1)
    edges[1:-1] += random.uniform(-0.05, 0.05, count - 1)
    gap = random.uniform(0.01, 0.04)
    return [(a + gap, b - gap) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _scales(along: np.ndarray, side: np.ndarray) -> np.ndarray:
    """A net of scales: 1 on the rims between them, 0 within."""
    row, column = along * 26, side * 3.2
    shifted = column + 0.5 * (np.floor(row) % 2)
    x, y = row % 1 - 0.5, shifted % 1 - 0.5
    rim = np.clip((np.sqrt((x - 0.25) ** 2 + y**2) - 0.34) * 5, 0, 1)
    return rim * np.clip((along - 0.2) * 20, 0, 1) * np.clip((0.84 - along) * 12, 0, 1)


def _coat(
    variety: str, along: np.ndarray, side: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, tuple[float, ...]]:
    """The body's colours (h, w, 3) float32, unshaded, and the colour of its fins."""

    def over(under: np.ndarray, colour: tuple[float, ...], cover: np.ndarray) -> np.ndarray:
        return under + cover * (np.array(colour, np.float32) - under)

    def plain(colour: tuple[float, ...]) -> np.ndarray:
        return np.broadcast_to(np.array(colour, np.float32), (*along.shape, 3))

    net = _scales(along, side)[..., None]
    match variety:
        case "kohaku":
            red = _patches(along, side, _steps(int(random.integers(2, 4)), random), random)
            return over(plain(_WHITE), _RED, red), _WHITE
        case "sanke":
            red = _patches(along, side, _steps(int(random.integers(2, 4)), random), random)
            coat = over(plain(_WHITE), (232, 76, 34), red)
            return over(coat, _BLACK, _spots(along, side, 7, random)), _WHITE
        case "showa":
            white = _patches(along, side, _steps(3, random), random, breadth=0.8)
            coat = over(plain(_BLACK), _WHITE, white)
            begin = random.uniform(0.04, 0.1)
            red = _patches(along, side, [(begin, 0.33), (0.5, 0.72)], random, breadth=0.75)
            return over(coat, _RED, red), (120, 116, 118)
        case "tancho":
            spot = np.sqrt(((along - 0.125) / 0.062) ** 2 + (side / 0.62) ** 2)
            return over(plain(_WHITE), _RED, np.clip((1 - spot) * 6, 0, 1)[..., None]), _WHITE
        case "ogon":
            return over(plain(_GOLD), (196, 128, 20), 0.55 * net), (252, 208, 104)
        case "platinum":
            return over(plain(_SILVER), (164, 176, 188), 0.6 * net), (232, 238, 242)
        case "asagi":
            coat = over(plain(_BLUE), _PALE_BLUE, 0.85 * net)
            flank = np.clip((np.abs(side) - 0.62) * 6, 0, 1)[..., None]
            coat = over(coat, _ORANGE, flank * (along > 0.1)[..., None])
            return over(coat, (196, 208, 216), np.clip((0.17 - along) * 14, 0, 1)[..., None]), (
                240, 142, 72,
            )  # fmt: skip
        case "utsuri":
            yellow = _patches(along, side, _steps(3, random), random, breadth=0.85)
            return over(plain(_BLACK), _YELLOW, yellow), (168, 134, 62)
        case "benigoi":
            return over(plain((236, 88, 26)), (180, 46, 12), 0.5 * net), (246, 138, 74)
        case _:
            return over(plain(_BRONZE), _DARK_BRONZE, 0.75 * net), (196, 156, 104)


def _modelled(colour: np.ndarray, along: np.ndarray, side: np.ndarray, length: float) -> np.ndarray:
    """Light on a round back, the dorsal fin, gill covers and eyes."""
    round_back = np.sqrt(np.clip(1 - np.clip(np.abs(side), 0, 1) ** 2.4, 0, 1))
    lit = 0.56 + 0.48 * round_back - 0.05 * side
    colour = colour * lit[..., None]
    shine = np.exp(-(((side + 0.3) / 0.2) ** 2)) * np.clip(np.sin(np.pi * along / 0.8), 0, 1)
    colour = colour + 26 * (shine * (along < 0.8))[..., None]
    pixels = side * half_width(along) * WIDTH * length
    ridge = np.exp(-((pixels / 0.75) ** 2)) * np.clip((along - 0.34) * 30, 0, 1)
    ridge *= np.clip((0.68 - along) * 14, 0, 1)
    colour = colour * (1 - 0.3 * ridge[..., None])
    gill = np.abs(along - 0.205 + 0.05 * side**2)
    colour = colour * (1 - 0.16 * np.exp(-((gill / 0.008) ** 2)))[..., None]
    eye = np.hypot((along - 0.085) * length, (np.abs(side) - 0.8) * 0.74 * WIDTH * length)
    return colour * np.clip((eye - 0.55) * 2, 0.1, 1)[..., None]


def _fins(along: np.ndarray, across: np.ndarray, length: float) -> tuple[np.ndarray, np.ndarray]:
    """Cover of all fins in [0, 1], and their rays from -1 to 1."""
    x, y = along * length, np.abs(across)
    cover, rays = np.zeros_like(x), np.zeros_like(x)
    fans = (  # root along and beside, direction, half opening, size: of pectoral and pelvic fins
        (0.235 * length, 0.8 * WIDTH * length, 0.95, 0.55, 0.175 * length),
        (0.5 * length, 0.66 * WIDTH * length, 0.6, 0.42, 0.105 * length),
    )
    for root_x, root_y, direction, opening, size in fans:
        dx, dy = x - root_x, y - root_y
        radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx) - direction
        rim = size * np.clip(1 - (np.abs(angle) / opening) ** 4, 0, 1) ** 0.5
        fan = np.clip((rim - radius) * 1.6 + 0.5, 0, 1) * (np.abs(angle) < opening)
        rays = np.where(fan > cover, np.cos(angle * 24), rays)
        cover = np.maximum(cover, fan)
    dx = (x - 0.79 * length) / (0.21 * length)  # 0 at the tail's root, 1 at its tips
    spread = WIDTH * length * (0.22 + 0.95 * np.clip(dx, 0, 1.2) ** 0.9)
    end = 0.72 + 0.28 * np.clip(y / (0.9 * WIDTH * length), 0, 1) ** 1.5  # forked
    tail = np.clip((spread - y) * 1.6 + 0.5, 0, 1) * np.clip((end - dx) * 9, 0, 1) * (dx > 0)
    rays = np.where(tail > cover, np.cos(y / np.maximum(spread, 0.5) * 11), rays)
    return np.maximum(cover, tail), rays
