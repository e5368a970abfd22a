"""Pictures that are no lesions, drawn on the spot: what the gate must stop. They are never learned from."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Draw = Callable[[np.random.Generator], Image.Image]
SIZE = (320, 240)
WORDS = ("invoice", "total", "the", "patient", "of", "report", "2026", "and", "page", "number", "signed", "with", "Dr.")


def pictures(per_kind: int, seed: int = 0) -> dict[str, list[Image.Image]]:
    """`per_kind` RGB pictures of each kind."""
    rng = np.random.default_rng(seed)
    return {name: [draw(rng) for _ in range(per_kind)] for name, draw in KINDS.items()}


def _frame(rng: np.random.Generator) -> Image.Image:
    """Black, white or one colour, with a camera's noise or none."""
    level = rng.choice([0, 255, int(rng.integers(0, 256))])
    colour = np.full(3, level) if rng.random() < 0.5 else rng.integers(0, 256, 3)  # noqa: PLR2004
    return _picture(colour + rng.normal(0, rng.choice([0, 2, 8]), (SIZE[1], SIZE[0], 3)))


def _noise(rng: np.random.Generator) -> Image.Image:
    """Noise, fine or coarse."""
    step = int(rng.choice([1, 4, 16]))
    small = rng.integers(0, 256, (SIZE[1] // step, SIZE[0] // step, 3))
    return _picture(small).resize(SIZE, Image.Resampling.BICUBIC)


def _gradient(rng: np.random.Generator) -> Image.Image:
    """From one colour to another."""
    along = np.linspace(0, 1, SIZE[0] if rng.random() < 0.5 else SIZE[1])  # noqa: PLR2004
    share = along[None, :, None] if len(along) == SIZE[0] else along[:, None, None]
    first, last = rng.integers(0, 256, (2, 3))
    return _picture(np.broadcast_to(first + share * (last - first), (SIZE[1], SIZE[0], 3)))


def _document(rng: np.random.Generator) -> Image.Image:
    """A page of text on paper, a little turned."""
    page = Image.new("RGB", SIZE, tuple(int(level) for level in rng.integers(225, 256, 3)))
    pen = ImageDraw.Draw(page)
    for y in range(int(rng.integers(5, 25)), SIZE[1] - 15, int(rng.integers(11, 20))):
        line = " ".join(rng.choice(WORDS, int(rng.integers(4, 12))))
        pen.text((int(rng.integers(8, 40)), y), line, fill=(20, 20, 30), font_size=int(rng.integers(9, 14)))
    return page.rotate(float(rng.uniform(-6, 6)), Image.Resampling.BICUBIC, fillcolor=(200, 198, 190))


def _screenshot(rng: np.random.Generator) -> Image.Image:
    """Windows, buttons, words and icons."""
    screen = Image.new("RGB", SIZE, _colour(rng, 180 if rng.random() < 0.7 else 20))  # noqa: PLR2004
    pen = ImageDraw.Draw(screen)
    pen.rectangle((0, 0, SIZE[0], 18), fill=_colour(rng, 40))
    for _ in range(int(rng.integers(6, 16))):
        x, y = int(rng.integers(0, 260)), int(rng.integers(22, 210))
        width, height = int(rng.integers(15, 140)), int(rng.integers(8, 60))
        pen.rounded_rectangle((x, y, x + width, y + height), 4, fill=_colour(rng, 0), outline=_colour(rng, 0))
        pen.text((x + 4, y + 2), str(rng.choice(WORDS)), fill=_colour(rng, 0), font_size=10)
    return screen


def _plant(rng: np.random.Generator) -> Image.Image:
    """Leaves on sky or soil."""
    sky = rng.random() < 0.5  # noqa: PLR2004
    picture = Image.new("RGB", SIZE, (150, 190, 235) if sky else (94, 70, 48))
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(25, 90))):
        x, y, turn = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1]), rng.uniform(0, 2 * np.pi)
        length, width = rng.uniform(20, 80), rng.uniform(5, 18)
        at = np.linspace(0, 1, 12)
        rim = np.concatenate([np.sin(np.pi * at), -np.sin(np.pi * at[::-1])]) * width
        spine = np.concatenate([at, at[::-1]]) * length
        points = np.stack(
            [x + spine * np.cos(turn) - rim * np.sin(turn), y + spine * np.sin(turn) + rim * np.cos(turn)], 1
        )
        green = tuple(int(level) for level in (rng.integers(10, 90), rng.integers(80, 190), rng.integers(10, 80)))
        pen.polygon([tuple(point) for point in points], fill=green)
        pen.line([tuple(points[0]), tuple(points[11])], fill=(200, 220, 160))
    return _grain(picture.filter(ImageFilter.GaussianBlur(0.8)), rng)


def _cat(rng: np.random.Generator) -> Image.Image:
    """A cat's face: fur, ears, eyes, nose, whiskers."""
    fur = rng.integers([90, 60, 30], [220, 170, 130])
    picture = Image.new("RGB", SIZE, _colour(rng, 0))
    pen = ImageDraw.Draw(picture)
    x, y, r = int(rng.integers(120, 200)), int(rng.integers(110, 140)), int(rng.integers(60, 95))
    face = tuple(int(level) for level in fur)
    for side in (-1, 1):
        ear = [(x + side * r * 0.9, y - r * 0.2), (x + side * r * 0.85, y - r * 1.3), (x + side * r * 0.2, y - r * 0.8)]
        pen.polygon(ear, fill=face)
    pen.ellipse((x - r, y - r, x + r, y + r), fill=face)
    for _ in range(500):
        angle, reach = rng.uniform(0, 2 * np.pi), r * np.sqrt(rng.random())
        fx, fy = x + reach * np.cos(angle), y + reach * np.sin(angle)
        hair = tuple(int(level) for level in (fur + rng.integers(-45, 45)).clip(0, 255))
        pen.line((fx, fy, fx + rng.normal(0, 3), fy + 8), fill=hair)
    for side in (-1, 1):
        ex, ey, er = x + side * r * 0.42, y - r * 0.2, r * 0.2
        pen.ellipse((ex - er, ey - er * 0.8, ex + er, ey + er * 0.8), fill=(170, 200, 60))
        pen.ellipse((ex - er * 0.25, ey - er * 0.75, ex + er * 0.25, ey + er * 0.75), fill=(5, 5, 5))
        for whisker in (-0.1, 0.05, 0.2):
            pen.line(
                (x + side * r * 0.2, y + r * 0.3, x + side * r * 1.3, y + r * (0.3 + whisker)), fill=(245, 245, 240)
            )
    pen.polygon([(x - 8, y + r * 0.18), (x + 8, y + r * 0.18), (x, y + r * 0.32)], fill=(220, 120, 130))
    return _grain(picture.filter(ImageFilter.GaussianBlur(0.8)), rng)


def _colour(rng: np.random.Generator, darkest: int) -> tuple[int, ...]:
    return tuple(int(level) for level in rng.integers(darkest, min(darkest + 75, 256) if darkest else 256, 3))


def _grain(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    return _picture(np.asarray(picture) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3)))


def _picture(levels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Image.Image:
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


KINDS: dict[str, Draw] = {
    "frame": _frame,
    "noise": _noise,
    "gradient": _gradient,
    "document": _document,
    "screenshot": _screenshot,
    "plant": _plant,
    "cat": _cat,
}
