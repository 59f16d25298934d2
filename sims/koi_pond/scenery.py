"""What stays as it is for an episode: the bed, the lily pads on the water, the ring they form.

Everything here is a function of one number, the look, so that a state need hold nothing else.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SIZE = 256
RING_RADIUS = 47.0  # pixels; fish whose centre is nearer to the ring's centre are inside
RING_PADS = 9

_PAD_GAP = 12.0  # pixels of open water between any two pads


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenery:
    """The still parts of one pond.

    Attributes:
        bed: (256, 256, 3) uint8, stones, sand and algae under still water.
        through: (256, 256, 3) uint8, how much of the water the pads and their shadows leave, of
            255.
        pads: (256, 256, 3) uint8, the pads on black.
        cover: (256, 256) uint8, how much of each pixel a pad hides, of 255.
        ring: (2,) float64, x and y of the ring's centre in pixels.
    """

    bed: np.ndarray
    through: np.ndarray
    pads: np.ndarray
    cover: np.ndarray
    ring: np.ndarray

    @classmethod
    def of(cls, look: int) -> "Scenery":
        """Paints the pond that belongs to `look`."""
        random = np.random.default_rng(look)
        bed = _bed(random)
        ring = random.uniform(100, 156, 2)
        layer = np.zeros((SIZE, SIZE, 4), np.float32)
        turn = random.uniform(0, 2 * np.pi)
        placed = []
        for i in range(RING_PADS):
            angle = turn + 2 * np.pi * i / RING_PADS + random.uniform(-0.06, 0.06)
            centre = ring + RING_RADIUS * np.array([np.cos(angle), np.sin(angle)])
            placed.append((*centre, random.uniform(7.6, 8.8)))
        placed += _stray_pads(placed, ring, random)
        for i, (x, y, radius) in enumerate(placed):
            _paint_pad(layer, x, y, radius, random, blossom=i < RING_PADS and i % 3 == 0)
        cover = layer[..., 3]
        shadow = cv2.GaussianBlur(np.roll(cover, (4, 3), (0, 1)), (0, 0), 2.0)
        through = (1 - cover) * (1 - 0.42 * shadow)
        return cls(
            bed=bed,
            through=np.rint(255 * np.dstack([through] * 3)).astype(np.uint8),
            pads=np.rint(np.clip(layer[..., :3], 0, 255)).astype(np.uint8),
            cover=np.rint(255 * cover).astype(np.uint8),
            ring=ring,
        )


def _stray_pads(
    placed: list[tuple[float, float, float]], ring: np.ndarray, random: np.random.Generator
) -> list[tuple[float, float, float]]:
    """4 to 7 larger pads outside the ring, apart from each other and from the ring's."""
    stray: list[tuple[float, float, float]] = []
    wanted = int(random.integers(4, 8))
    for _ in range(400):
        x, y = random.uniform(4, SIZE - 4, 2)
        radius = random.uniform(9.5, 14)
        near_shore = min(x, y, SIZE - x, SIZE - y) < 44
        apart = all(
            np.hypot(x - other_x, y - other_y) > radius + other + _PAD_GAP
            for other_x, other_y, other in [*placed, *stray]
        )
        outside = np.hypot(x - ring[0], y - ring[1]) > RING_RADIUS + radius + 8
        if near_shore and apart and outside:
            stray.append((x, y, radius))
        if len(stray) == wanted:
            break
    return stray


def _noise(size: float, random: np.random.Generator) -> np.ndarray:
    """Smooth noise (256, 256) float32 of unit variance with blobs of about `size` pixels."""
    count = max(3, round(SIZE / size) + 2)
    coarse = random.standard_normal((count, count)).astype(np.float32)
    noise = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return noise / noise.std()


def _bed(random: np.random.Generator) -> np.ndarray:
    """Sand, stones from gravel to boulders, algae, a net of light, and the water over all."""
    warm = random.uniform(-1, 1)
    sand = np.array([122 + 10 * warm, 120, 98 - 8 * warm], np.float32)
    grain = 0.5 * _noise(2.2, random) + 0.6 * _noise(9, random) + _noise(60, random)
    bed = sand + 7 * grain[..., None]
    stony = _noise(70, random)
    for low, high, count in ((1.6, 3.4, 420), (3.5, 7, 120), (7.5, 15, 26)):
        points = random.uniform(-4, SIZE + 4, (count, 2))
        for x, y in points:
            here = stony[int(np.clip(y, 0, SIZE - 1)), int(np.clip(x, 0, SIZE - 1))]
            if here > random.uniform(-1.3, 0.6):
                _paint_stone(bed, x, y, random.uniform(low, high), warm, random)
    algae = np.clip(0.7 * _noise(42, random) + 0.45 * _noise(8, random) - 0.45, 0, 1)[..., None]
    moss = np.array([52, 92, 44], np.float32) + 9 * _noise(2.5, random)[..., None]
    bed += 0.62 * algae * (moss - bed)
    net = np.abs(_noise(26, random) + 0.4 * _noise(11, random))
    light = np.clip(1 - net * 2.6, 0, 1) ** 2
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32) / (SIZE - 1) - 0.5
    deep = 0.98 - 0.55 * (x**2 + y**2) - 0.1 * (x + y) + 0.035 * _noise(90, random)
    water = np.array([0.36, 0.60, 0.60], np.float32) * (1 + 0.03 * random.uniform(-1, 1, 3))
    haze = np.array([5, 26, 30], np.float32)
    bed = (bed * water + haze) * deep[..., None] + 15 * light[..., None] * (0.7, 1, 1)
    return np.rint(np.clip(bed, 0, 255)).astype(np.uint8)


def _paint_stone(
    bed: np.ndarray, x: float, y: float, radius: float, warm: float, random: np.random.Generator
) -> None:
    stretch, turn = random.uniform(0.68, 1), random.uniform(0, np.pi)
    lobes, lobe_turn = random.uniform(0, 0.07, 2), random.uniform(0, 2 * np.pi, 2)
    grey, tint = random.uniform(72, 148), random.uniform(-10, 14) + 6 * warm
    colour = np.array([grey + tint, grey, grey - 0.7 * tint], np.float32)
    reach = int(radius * 1.35) + 3
    left, top = int(x) - reach, int(y) - reach
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + 2 * reach + 1, SIZE), min(top + 2 * reach + 1, SIZE)
    if x0 >= x1 or y0 >= y1:
        return
    dy, dx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    dx, dy = dx - np.float32(x), dy - np.float32(y)

    def depth(dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Pixels inside the stone's rim, negative outside."""
        along = dx * np.cos(turn) + dy * np.sin(turn)
        beside = (dy * np.cos(turn) - dx * np.sin(turn)) / stretch
        angle = np.arctan2(beside, along)
        rim = 1 + lobes[0] * np.sin(2 * angle + lobe_turn[0])
        rim += lobes[1] * np.sin(3 * angle + lobe_turn[1])
        return (radius * rim - np.hypot(along, beside)) * stretch

    inside = depth(dx, dy)
    area = bed[y0:y1, x0:x1]
    fall = 0.5 + 0.12 * radius
    area *= (1 - 0.5 * np.clip(depth(dx - fall, dy - fall) / 2 + 0.7, 0, 1))[..., None]
    height = np.sqrt(np.clip(inside / radius, 0, 1))
    towards_light = -(dx + 1.2 * dy) / (1.56 * radius)
    shade = 0.66 + 0.3 * height + 0.34 * towards_light * (1 - 0.6 * height)
    stone = colour * shade[..., None]
    area += np.clip(inside + 0.5, 0, 1)[..., None] * (stone - area)


def _paint_pad(
    layer: np.ndarray,
    x: float,
    y: float,
    radius: float,
    random: np.random.Generator,
    *,
    blossom: bool,
) -> None:
    """Paints one lily pad over the premultiplied RGBA `layer` (256, 256, 4) float32."""
    turn, opening = random.uniform(0, 2 * np.pi), random.uniform(0.2, 0.34)
    green = np.array([70, 138, 62]) + random.uniform(-1, 1) * np.array([16, 12, 8])
    fine = 4
    reach = int(radius) + 3
    left, top = int(x) - reach, int(y) - reach
    side = 2 * reach + 1
    dy, dx = (np.mgrid[: side * fine, : side * fine].astype(np.float32) + 0.5) / fine - 0.5
    dx, dy = dx + np.float32(left - x), dy + np.float32(top - y)
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    off = np.abs((angle - turn + np.pi) % (2 * np.pi) - np.pi)  # from the notch
    wavy = radius * (1 + 0.025 * np.sin(5 * angle + turn))
    inside = (distance < wavy) & ((off > opening) | (distance < 0.12 * radius))
    out = distance / radius
    veins = np.exp(-((np.sin((angle - turn) * 5.5) * out * 4.2) ** 2)) * np.clip(out * 3, 0, 1)
    slope = -(dx + 1.2 * dy) / (1.56 * radius)
    shade = 0.86 + 0.2 * out**2 + 0.13 * slope * out + 0.15 * veins * (out < 0.9)
    colour = green * shade[..., None]
    rim = np.clip((out - 0.88) * 12, 0, 1)[..., None]
    colour = colour + rim * (np.array([150, 150, 74]) - colour) * 0.62
    if blossom:
        colour = _blossom(colour, distance, angle - turn, radius)
    alpha = inside.astype(np.float32)
    painted = np.dstack([colour * alpha[..., None], alpha]).astype(np.float32)
    painted = cv2.resize(painted, (side, side), interpolation=cv2.INTER_AREA)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, SIZE), min(top + side, SIZE)
    painted = painted[y0 - top : y1 - top, x0 - left : x1 - left]
    under = layer[y0:y1, x0:x1]
    layer[y0:y1, x0:x1] = painted + under * (1 - painted[..., 3:])


def _blossom(
    colour: np.ndarray, distance: np.ndarray, angle: np.ndarray, radius: float
) -> np.ndarray:
    """A water lily on the pad: two whorls of petals around a yellow heart."""
    for petals, size, turn, petal in (
        (8, 0.68, 0.0, (228, 120, 158)),
        (8, 0.46, 0.4, (250, 190, 208)),
    ):
        lobe = np.abs(np.cos((angle + turn) * petals / 2)) ** 0.7
        edge = size * radius * (0.5 + 0.5 * lobe)
        cover = np.clip((edge - distance) * 2.5, 0, 1)[..., None]
        lit = np.array(petal) * (0.78 + 0.26 * distance / (size * radius))[..., None]
        colour = colour + cover * (lit - colour)
    heart = np.clip((0.17 * radius - distance) * 3, 0, 1)[..., None]
    return colour + heart * (np.array([250, 206, 84]) - colour)
