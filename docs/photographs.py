"""Render pictures like photographs of mugs, to try the walkthrough of docs/photographs.md without a camera.

    python docs/photographs.py render FOLDER [--count 60] [--seed 1]
    python docs/photographs.py nearest RUN FILE.png [--count 10] [--overwrite]

`render` writes JPEG files of 640×480 and 480×640 pixels. They are computed, not photographed: a mug is a shape of
known distance to each point, and a ray from each pixel is followed until it meets it. The same seed gives the same
pictures. `nearest` draws samples of a run, and below each the training image nearest to it: copies look the same.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

LANDSCAPE, PORTRAIT = (640, 480), (480, 640)  # width and height, in pixels
SPARED = 2  # as many times fewer pixels are computed, along each side, and then enlarged
MARCHES, SHADOWS, FAR = (
    56,
    36,
    9.0,
)  # steps of a ray, of one to the light; the farthest that is looked at, in decimetres
TABLE, WALL, OUTSIDE, INSIDE, DRINK = range(5)  # what a ray can meet
CUP_COLOURS = (
    (0, 0.02),
    (0.04, 0.75),
    (0.10, 0.6),
    (0.36, 0.45),
    (0.52, 0.5),
    (0.60, 0.65),
    (0.98, 0.7),
)  # hue, saturation


@dataclass(frozen=True)
class Mug:
    """A mug that stands upright on the table at the origin; lengths in decimetres, `turn` in radians."""

    radius: float
    height: float
    taper: float
    wall: float
    handle: float
    turn: float
    filled: float  # up to this part of its height; 0 for an empty one

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Return about how far points, float32 (N, 3), are from its surface, (N,); within it negative."""
        x, y, z = points.T
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        x, z = cos * x + sin * z, cos * z - sin * x
        radius = self.radius * (1 + self.taper * (y / self.height - 0.5))
        across = np.sqrt(x * x + z * z)
        body = rounded(across - radius, np.abs(y - self.height / 2) - self.height / 2, 0.03)
        hollow = np.maximum(across - radius + self.wall, self.wall - y)
        ring_x, ring_y = (x - radius) / 0.75, (y - 0.52 * self.height) / 1.05
        handle = np.hypot(np.hypot(ring_x, ring_y) - self.handle, z * 0.8) - 0.055
        joined = smooth_least(body, handle * 0.8, 0.05)
        mug = np.maximum(joined, -hollow)
        if self.filled:
            mug = np.minimum(mug, np.maximum(hollow, np.abs(y - self.filled * self.height) - 0.01))
        return mug


class Rays(NamedTuple):
    """Where rays ended, float32 (N, 3), how far that is, (N,), and which of them met the mug, bool (N,)."""

    points: np.ndarray
    lengths: np.ndarray
    met: np.ndarray


def rounded(across: np.ndarray, along: np.ndarray, by: float) -> np.ndarray:
    """Return the distance to a body that ends where either of two distances is 0, with rounded edges."""
    across, along = across + by, along + by
    outside = np.hypot(np.maximum(across, 0), np.maximum(along, 0))
    return outside + np.minimum(np.maximum(across, along), 0) - by


def smooth_least(first: np.ndarray, second: np.ndarray, width: float) -> np.ndarray:
    """Return the lesser of two distances, with a fillet of some width between the bodies."""
    part = np.clip(0.5 + (second - first) / (2 * width), 0, 1)
    return second + (first - second) * part - width * part * (1 - part)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors, (…, 3), of the length 1."""
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def followed(mug: Mug, start: np.ndarray, directions: np.ndarray) -> Rays:
    """Follow rays from one point until they meet the mug, the table (y = 0), or are FAR away."""
    lengths = np.full(len(directions), 1.0, np.float32)
    ends = np.where(directions[:, 1] < 0, -start[1] / np.minimum(directions[:, 1], -1e-6), FAR).astype(np.float32)
    ends = np.minimum(ends, FAR)
    going = np.flatnonzero(np.linalg.norm(np.cross(directions, -start), axis=1) < 1.8)  # others pass by
    met = np.zeros(len(directions), bool)
    for _ in range(MARCHES):
        step = mug.distance(start + lengths[going, None] * directions[going])
        met[going] = step < 0.002
        lengths[going] += np.maximum(step, 0.001)
        going = going[~met[going] & (lengths[going] < ends[going])]
    lengths = np.where(met, lengths, ends)
    return Rays(start + lengths[:, None] * directions, lengths, met)


def light_at(mug: Mug, points: np.ndarray, to_light: np.ndarray, softness: float) -> np.ndarray:
    """Return how much of a lamp each point sees, float32 (N,), 0 to 1."""
    seen = np.ones(len(points), np.float32)
    along = np.full(len(points), 0.02, np.float32)
    near = np.flatnonzero(np.linalg.norm(np.cross(points, to_light), axis=1) < 1.8)
    for _ in range(SHADOWS):
        distance = mug.distance(points[near] + along[near, None] * to_light)
        seen[near] = np.minimum(seen[near], np.clip(0.5 + distance / (2 * softness * along[near]), 0, 1))
        along[near] += np.clip(0.5 * distance, 0.02, 0.3)
        near = near[seen[near] > 0.01]
    return seen * seen * (3 - 2 * seen)


def openness(mug: Mug, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return how open the space before each point is, float32 (N,), 0 to 1."""
    hidden = np.zeros(len(points), np.float32)
    for distance, weight in ((0.08, 0.9), (0.2, 0.5), (0.45, 0.25)):
        before = points + distance * normals
        free = np.minimum(mug.distance(before), np.where(normals[:, 1] < 0.9, before[:, 1], distance))
        hidden += weight * np.clip(1 - free / distance, 0, 1)
    return 1 / (1 + hidden)


def noise(random: np.random.Generator, across: int, along: int, size: int = 256) -> np.ndarray:
    """Return smooth noise, float32 (size, size), about 0, in as many waves across and along."""
    total = np.zeros((size, size), np.float32)
    for octave in range(4):
        shape = (along << octave, across << octave)
        coarse = random.standard_normal(shape).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) / 2**octave
    return total / 2


def colour(hue: float, saturation: float, value: float) -> np.ndarray:
    """Return a colour as linear red, green and blue, float32 (3,), 0 to 1."""
    hsv = np.float32([[[360 * hue, saturation, value]]])
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] ** np.float32(2.2)


def ground(random: np.random.Generator) -> np.ndarray:
    """Return what the table looks like from above: linear colours, float32 (256, 256, 3), two decimetres wide."""
    kind = random.choice(["wood", "stone", "cloth", "paint"])
    if kind == "wood":
        grain = noise(random, 3, 40)
        rings = 0.5 + 0.5 * np.sin(7 * grain + noise(random, 2, 3))
        dark, light = colour(0.07, 0.65, random.uniform(0.25, 0.45)), colour(0.08, 0.5, random.uniform(0.55, 0.8))
        return dark + (light - dark) * (0.35 + 0.5 * rings + 0.08 * grain)[..., None].clip(0, 1)
    if kind == "cloth":
        threads = np.sin(np.arange(256) * np.pi / 2)
        weave = 1 + 0.06 * (threads[:, None] + threads) + 0.05 * noise(random, 6, 6)
        return colour(random.random(), random.uniform(0, 0.4), random.uniform(0.5, 0.9)) * weave[..., None]
    strength = 0.18 if kind == "stone" else 0.03
    speckles = 1 + strength * noise(random, 12, 12) + strength * noise(random, 50, 50)
    base = colour(random.uniform(0.05, 0.6), random.uniform(0, 0.25), random.uniform(0.3, 0.9))
    return (base * speckles[..., None]).clip(0, 1)


def blocks(random: np.random.Generator) -> np.ndarray:
    """Return light and dark rectangles, as of shelves and windows far behind: float32 (256, 256), about 0."""
    drawn = np.zeros((256, 256), np.float32)
    for left, top, width, height in random.integers(20, 110, (12, 4)):
        drawn[top : top + height, left * 2 : left * 2 + width] = random.uniform(-0.5, 1)
    return drawn


def glaze(random: np.random.Generator, mug: Mug) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return linear colours: by height, float32 (64, 3), of the outside; of the inside; of what it is filled with."""
    hue, saturation = CUP_COLOURS[random.integers(len(CUP_COLOURS))]
    main = colour(hue, saturation * random.uniform(0.7, 1.1), random.uniform(0.45, 0.9))
    outside = np.tile(main, (64, 1)).astype(np.float32)
    pattern = random.choice(["plain", "band", "foot", "stripes"], p=[0.5, 0.2, 0.2, 0.1])
    second = colour(random.random(), random.uniform(0, 0.5), random.uniform(0.5, 0.95))
    if pattern == "band":
        outside[36:48] = second
    elif pattern == "foot":
        outside[: random.integers(14, 30)] = colour(0.07, 0.4, 0.6)  # bare clay
    elif pattern == "stripes":
        outside[np.arange(64) // 6 % 2 == 0] = second
    inside = colour(0.1, 0.06, 0.9) if random.random() < 0.6 else main
    drink = colour(0.06, 0.8, 0.22) if random.random() < 0.7 else colour(0.09, 0.55, 0.6)
    return outside, inside, drink


def textured(texture: np.ndarray, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return what a texture, (size, size, …) and two decimetres wide, holds at places in decimetres, (N, …)."""
    size = len(texture)
    left, top = (
        np.abs((place * size / 2) % (2 * size) - size).astype(int).clip(0, size - 1) for place in (across, along)
    )
    return texture[top, left]


def camera(random: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the camera is, float32 (3,), and the direction of each pixel, float32 (N, 3), in rows."""
    width, height = size
    elevation, distance = random.uniform(0.25, 0.8), random.uniform(2.7, 3.5)
    start = distance * np.float32([0, np.sin(elevation), -np.cos(elevation)])
    at = np.float32([random.normal(0, 0.12), 0.45 + random.normal(0, 0.08), 0])
    forward = unit(at - start)
    right = unit(np.cross(np.float32([random.normal(0, 0.03), 1, 0]), forward))
    up = np.cross(forward, right)
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    scale = 2 * np.tan(0.27) / min(width, height)
    across, along = scale * (columns - width / 2), scale * (height / 2 - rows)
    return start, unit(forward + across.reshape(-1, 1) * right + along.reshape(-1, 1) * up)


def shaded(random: np.random.Generator, mug: Mug, start: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, Rays]:
    """Return the light that comes along each ray, linear, float32 (N, 3), and where it comes from."""
    rays = followed(mug, start, directions)
    points, met = rays.points, rays.met
    turn, lift = random.uniform(-2.4, 2.4), random.uniform(0.5, 1.2)
    to_light = np.float32([np.sin(turn) * np.cos(lift), np.sin(lift), -np.cos(turn) * np.cos(lift)])
    normals = np.tile(np.float32([0, 1, 0]), (len(points), 1))
    offsets = np.float32(0.003) * np.eye(3, dtype=np.float32)
    slopes = [mug.distance(points[met] + offset) - mug.distance(points[met] - offset) for offset in offsets]
    normals[met] = unit(np.stack(slopes, 1) + 1e-9)

    base = textured(ground(random), points[:, 0] + random.uniform(0, 9), points[:, 2] + random.uniform(0, 9))
    outside, inside, drink = glaze(random, mug)
    heights = np.clip(points[:, 1] / mug.height * 64, 0, 63).astype(int)
    level = np.abs(points[:, 1] - mug.filled * mug.height) < 0.02
    within = (
        np.hypot(points[:, 0], points[:, 2])
        < mug.radius * (1 + mug.taper * (points[:, 1] / mug.height - 0.5)) - 0.6 * mug.wall
    )
    base = np.where(met[:, None], outside[heights], base)
    base = np.where((met & within)[:, None], inside, base)
    base = np.where((met & within & level & (mug.filled > 0))[:, None], drink, base)

    warm = colour(0.1, random.uniform(0, 0.35), 1) * random.uniform(1.6, 2.6)
    sky = colour(0.6, random.uniform(0, 0.25), 1) * random.uniform(0.35, 0.7)
    lit = light_at(mug, points + 0.01 * normals, to_light, random.uniform(0.08, 0.35))
    facing = np.clip(normals @ to_light, 0, 1) * lit
    open_sky = openness(mug, points, normals) * (0.6 + 0.4 * normals[:, 1])
    light = base * (facing[:, None] * warm + open_sky[:, None] * sky)
    half = unit(to_light - directions)
    shine = np.clip((normals * half).sum(1), 0, 1) ** random.uniform(60, 300) * lit
    mirrored = np.clip(1 + (normals * directions).sum(1), 0, 1) ** 4
    light += np.where(met, 0.8 * shine, 0.03 * shine)[:, None] * warm + np.where(met, 0.25 * mirrored, 0)[:, None] * sky

    wall = colour(random.random(), random.uniform(0, 0.3), random.uniform(0.3, 0.95)) * (0.5 * warm + sky)
    side = np.exp(-(((directions[:, 0] - random.uniform(-0.4, 0.4)) / 0.5) ** 2))
    side += random.uniform(0, 0.5) * textured(blocks(random), 9 * directions[:, 0], 9 * directions[:, 1])
    behind = ~met & ((points[:, 2] > random.uniform(1.2, 4)) | (rays.lengths >= FAR))
    light = np.where(behind[:, None], wall * (0.35 + 0.5 * side[:, None]), light)
    return light, rays


def picture(random: np.random.Generator) -> np.ndarray:
    """Return one picture: uint8, height × width × 3, blue first."""
    size = LANDSCAPE if random.random() < 0.6 else PORTRAIT
    mug = Mug(
        radius=random.uniform(0.36, 0.5),
        height=random.uniform(0.75, 1.1),
        taper=random.uniform(-0.12, 0.25),
        wall=random.uniform(0.035, 0.06),
        handle=random.uniform(0.2, 0.28),
        turn=random.choice([0, np.pi]) + random.uniform(-0.7, 0.7),
        filled=random.uniform(0.7, 0.88) if random.random() < 0.5 else 0.0,
    )
    small = size[0] // SPARED, size[1] // SPARED
    start, directions = camera(random, small)
    light, rays = shaded(random, mug, start, directions)
    light, lengths, met = (array.reshape(small[1], small[0], -1) for array in (light, rays.lengths, rays.met))

    blur, shown = random.uniform(2, 5), (~met).astype(np.float32)
    blurred, weight = (cv2.GaussianBlur(array, (0, 0), blur) for array in (light * shown, shown))
    blurred = blurred.astype(np.float32) / np.maximum(weight, 1e-3)[..., None]  # without what stands before it
    behind = np.clip((lengths - np.linalg.norm(start) - 0.6) / 2.5, 0, 1) * ~met  # out of focus
    light = light + (blurred - light) * behind.astype(np.float32)
    light = cv2.resize(light.astype(np.float32), size, interpolation=cv2.INTER_CUBIC).clip(0, None)
    columns, rows = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]))
    light *= (1 - random.uniform(0.05, 0.3) * (columns**2 + rows**2) / 2)[..., None]
    exposed = light * random.uniform(1.1, 1.6) / (0.3 + np.percentile(light, 80))
    toned = (1 - np.exp(-1.4 * exposed)) ** (1 / 2.2)
    grainy = toned + random.normal(0, random.uniform(0.006, 0.02), toned.shape)
    return np.rint(255 * grainy[..., ::-1].clip(0, 1)).astype(np.uint8)


def render(folder: Path, count: int, seed: int) -> None:
    """Write pictures into a folder. Each depends on the seed and its number alone."""
    from tqdm import tqdm

    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.glob("mug_*.jpg")):
        sys.exit(f"error: {folder}: holds mugs already; name another folder")
    for number in tqdm(range(count), desc="rendering", unit=" pictures"):
        random = np.random.default_rng([seed, number])
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(82, 96))]
        cv2.imwrite(str(folder / f"mug_{number + 1:03d}.jpg"), picture(random), quality)
    print(f"{count} pictures are in {folder}")


def nearest(run: str, file: Path, count: int, overwrite: bool = False) -> None:
    """Draw samples of a run, of seed 1, above the training images nearest to them, and say how near they are.

    A distance is the root of the sum of squared differences over all numbers of an image, which are from 0 to 1.
    """
    import ms_gan
    from ms_gan.evaluation import metrics, plots
    from ms_gan.runs.run_folder import validation_split

    if file.exists() and not overwrite:
        raise ms_gan.UserError(f"{file}: is there already", "add --overwrite, or name another file")
    model = ms_gan.load(run)
    if not hasattr(model, "settings"):
        raise ms_gan.UserError(f"{run}: is a bundle, which has no training images", "name the run that it came from")
    samples = model.sample(count)
    samples = samples.reshape(count, -1, *samples.shape[-2:])  # grey ones have no channels
    train = validation_split(model.settings, model.fitting(model.load("train")))[0].images
    distances, index = metrics.nearest(samples, train)
    caption = f"median distance to the nearest training image: samples {np.median(distances):.2f}"
    try:
        unseen = metrics.nearest(model.fitting(model.load("test")).images, train)[0]
        caption += f", photographs that were not trained on {np.median(unseen):.2f}"
    except ms_gan.UserError:  # fewer than ten photographs
        pass
    shown = (("samples", samples), ("nearest training images", train[index]))
    larger = ((title, np.kron(images, np.ones((3, 3), np.uint8)) / np.float32(255)) for title, images in shown)
    plots.compare(file, *larger, count, f"{model.name} at step {model.step:,}", caption, above=True)
    print(f"{file}: {caption}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    drawing = commands.add_parser("render", help="write pictures into a folder")
    drawing.add_argument("folder", type=Path)
    drawing.add_argument("--count", type=int, default=60)
    drawing.add_argument("--seed", type=int, default=1)
    comparing = commands.add_parser("nearest", help="draw samples above the nearest training images")
    comparing.add_argument("run")
    comparing.add_argument("file", type=Path)
    comparing.add_argument("--count", type=int, default=10)
    comparing.add_argument("--overwrite", action="store_true", help="replace the file")
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # from a clone
    import ms_gan

    try:
        if options.command == "render":
            render(options.folder, options.count, options.seed)
        else:
            nearest(options.run, options.file, options.count, options.overwrite)
    except (ms_gan.UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
