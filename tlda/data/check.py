"""``tlda data check``: what images there are, what is missing, damaged or twice there, and a sheet that shows some of each class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from io import BytesIO
from math import prod
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from tlda.data.files import FORMATS, SUFFIXES, decode, image_files, in_rgb, is_hidden, orientation, reading, upright
from tlda.data.folders import Folders, in_threads
from tlda.data.layouts import Classes, Found, Layout, few, subfolders
from tlda.errors import UserError, near
from tlda.writing import require_writable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

THUMBNAIL = 64
"""The height and width of an image on the sheet."""

SHOWN = 3
"""The images of a class and domain on the sheet."""

PICTURES = (".png", ".jpg", ".webp")
"""The endings of a sheet's file."""

DARK = 16
"""An image whose brightest value is below it is all but black."""

LONG = 1.5
"""An image whose longer side is at least so many times its shorter one is changed by a squash."""

MOST_ROWS = 60
"""The classes on the sheet, which a viewer must be able to open."""


class Image(NamedTuple):
    """A file that was read: its width and height, the hash of its bytes, its brightest value in bytes, whether it has one colour
    alone, whether it is stored turned, or the error that it raised."""

    path: Path
    size: tuple[int, int] = (0, 0)
    content: str = ""
    brightest: int = 255
    flat: bool = False
    turned: bool = False
    error: str = ""


@dataclass
class Checked:
    """The images of a domain by class (all of them under no name where there is no class), and the files left alone."""

    domain: str
    classes: dict[str, list[Image]]
    missing: list[Path]
    odd: list[Path]
    shortfall: str | None = None
    upright: bool = True
    thumbnails: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def images(self) -> list[Image]:
        """Its images of all classes that can be read."""
        return [image for images in self.classes.values() for image in images if not image.error]

    @property
    def damaged(self) -> list[Image]:
        """Its images that cannot be read."""
        return [image for images in self.classes.values() for image in images if image.error]


def check(name: str, root: str | None, sheet: Path | None) -> None:
    """Look through the data set ``name``, or the folder of that name, and draw a sheet of it, as ``tlda data check`` does.

    Raises:
        UserError: there are images that cannot be read, or that a list names and the disk lacks.
    """
    layout, home, domains = subject(name, root)
    sheet = sheet_of(layout.name, sheet)
    checked = [check_domain(layout, home, domain) for domain in domains]
    for line in report(home, checked):
        print(line)
    if absent := [domain for domain in layout.domains if domain not in domains]:
        print(f"not there: {', '.join(absent)}")
    contact_sheet(checked).save(sheet)
    print(f"tlda: wrote {sheet}, a few images of each class and domain")
    _require_whole(checked)


def sheet_of(name: str, asked: Path | None) -> Path:
    """Where the sheet of the data ``name`` goes: the file that was ``asked`` for, or one by that name.

    Raises:
        UserError: no picture can be written there.
    """
    sheet = asked or Path(f"{name}-sheet.png")
    require_picture(sheet)
    require_writable(sheet.parent, "--sheet")
    return sheet


def refuse_wrong(wrong: Sequence[str], what: str) -> None:
    """Raise :class:`UserError` with the first of the sentences on what is ``wrong``, and how many of ``what`` are."""
    if wrong:
        raise UserError(f"{len(wrong)} {what} cannot be used, the first: {wrong[0]}")


def require_picture(path: Path) -> None:
    """Raise :class:`UserError` where no picture can be written to ``path``."""
    if path.suffix.lower() not in PICTURES:
        raise UserError(f"--sheet is {path}, and a picture ends in {', '.join(PICTURES)}: give it such a name")
    if path.is_dir():
        raise UserError(f"--sheet is the folder {path}: name a file")


def subject(name: str, root: str | None) -> tuple[Layout, Path, list[str]]:
    """The layout, the folder and the domains of a data set by its name, or of a folder of domains.

    Raises:
        UserError: ``name`` is neither.
    """
    from tlda.errors import subclasses

    classes: dict[str, Any] = subclasses(Folders)
    families = {family: cls.layout for family, cls in classes.items()}
    if name in families:
        layout = families[name]
        home = layout.home(root)
        there = [domain for domain in layout.domains if layout.holds(home, domain)]
        return layout, home, there or list(layout.domains)[:1]
    home = Folders.layout.home(name)
    if not home.is_dir():
        raise UserError(f"there is no data set and no folder '{name}'{near(name, families)}")
    domains = [entry for entry in subfolders(home) if image_files(home / entry)]
    if not domains:
        raise UserError(f"no folder in {home} has images in it: make {home / 'DOMAIN/CLASS'} for each domain and class, and put them there")
    return Layout(home.resolve().name, places=Folders.layout.places), home, domains


def check_domain(layout: Layout, home: Path, domain: str) -> Checked:
    """Read every image of ``domain``."""
    found = layout.find(home, domain)
    classes = _merged(found) or {"": image_files(layout.folder(home, domain))}
    paths = [path for images in classes.values() for path in images]
    images = dict(zip(paths, in_threads(lambda path: _read(path, layout.turned), paths), strict=True))
    checked = Checked(domain, {name: [images[path] for path in files] for name, files in classes.items()}, found.missing, [])
    checked.shortfall = layout.shortfall(domain, found.counts)
    checked.odd = sorted(set(_odd(paths)) - set(paths))
    checked.upright = layout.turned
    checked.thumbnails = {name: _thumbnails(files, layout.turned) for name, files in checked.classes.items()}
    return checked


def _merged(found: Found) -> Classes:
    """The images of each class, whichever part they are of."""
    return {name: [*found.train.get(name, ()), *(found.test or {}).get(name, ())] for name in found.counts}


def _read(path: Path, turned: bool) -> Image:
    from PIL import Image as Pillow

    try:
        with reading(path):
            data = path.read_bytes()
            with Pillow.open(BytesIO(data), formats=FORMATS) as image:
                on_its_side = orientation(image) > 1
                shown = upright(image) if turned else in_rgb(image)
            extrema: Any = shown.getextrema()  # of each band
            flat = all(low == high for low, high in extrema)
            brightest = max(high for _, high in extrema)
            return Image(path, shown.size, blake2b(data, digest_size=16).hexdigest(), brightest, flat, on_its_side)
    except UserError as error:
        return Image(path, error=str(error))


def _odd(paths: list[Path]) -> Iterator[Path]:
    """The files beside the images that are none."""
    for folder in {path.parent for path in paths} | {path.parent.parent for path in paths}:
        yield from (p for p in folder.iterdir() if p.is_file() and (p.suffix.lower() not in SUFFIXES or is_hidden(p.name)))


# What is said


def report(home: Path, checked: list[Checked]) -> Iterator[str]:
    """Describe the data in ``home``, line by line."""
    yield f"{home}: {', '.join(f'{c.domain} {len(c.images)} images' for c in checked)}"
    yield from _counts(checked)
    for domain in checked:
        yield from _about(domain)
    yield from _differing_classes(checked)
    yield from _repeated(checked)


def _counts(checked: list[Checked]) -> Iterator[str]:
    """A table of the images that can be read: a row a class, a column a domain."""
    names = list(dict.fromkeys(name for domain in checked for name in domain.classes))
    width = max(len(name or "(no class)") for name in [*names, "class"])
    columns = [max(len(domain.domain), 6) for domain in checked]
    yield "  ".join(["class".ljust(width), *(c.domain.rjust(w) for c, w in zip(checked, columns, strict=True))])
    for name in names:
        counts = [str(sum(not image.error for image in c.classes[name])) if name in c.classes else "–" for c in checked]
        yield "  ".join([(name or "(no class)").ljust(width), *(n.rjust(w) for n, w in zip(counts, columns, strict=True))])


def _about(domain: Checked) -> Iterator[str]:
    if domain.images:
        widths, heights = zip(*(image.size for image in domain.images), strict=True)
        sizes = sorted((image.size for image in domain.images), key=prod)
        smallest, largest = (f"{w} x {h}" for w, h in (sizes[0], sizes[-1]))
        yield f"{domain.domain}: {smallest} to {largest} pixels, {median(widths):.0f} x {median(heights):.0f} in the middle"
    yield from _odd_images(domain)
    if "" in domain.classes:
        yield f"{domain.domain}: no class folders; it can be a target without labels"
    if domain.shortfall:
        yield f"{domain.domain}: {domain.shortfall}; results do not compare with published ones"
    if domain.odd:
        yield f"{domain.domain}: {len(domain.odd)} files that are no images are left alone: {few(_names(domain.odd))}"
    if domain.missing:
        yield f"{domain.domain}: {len(domain.missing)} images of its list are missing: {few(_names(domain.missing))}"
    if domain.damaged:
        yield f"{domain.domain}: {len(domain.damaged)} images cannot be read: {few(_names([i.path for i in domain.damaged]))}"


def _odd_images(domain: Checked) -> Iterator[str]:
    """The images that can be read, and are not what one expects."""
    turned = [image.path for image in domain.images if image.turned]
    dark = [image.path for image in domain.images if image.brightest < DARK]
    flat = [image.path for image in domain.images if image.flat and image.brightest >= DARK]
    how = "and are turned upright" if domain.upright else "and stay as they are stored, as in published results"
    long = [image for image in domain.images if _aspect(image) >= LONG]
    if long:
        most = max(map(_aspect, long))
        yield (
            f"{domain.domain}: {len(long)} images are {LONG} times as long as wide or longer, up to {most:.1f} times: --data.size squashes "
            "them; --data.resize 256 --data.crop 224 keeps their aspect ratio, and tests see the middle: "
            f"{few(_names([image.path for image in long]))}"
        )
    if turned:
        yield f"{domain.domain}: {len(turned)} images lie on their side or are mirrored by their EXIF data, {how}: {few(_names(turned))}"
    if flat:
        yield f"{domain.domain}: {len(flat)} images are of one colour: {few(_names(flat))}"
    if dark:
        yield f"{domain.domain}: {len(dark)} images are black or nearly so, no value above {DARK - 1} of 255: {few(_names(dark))}"


def _aspect(image: Image) -> float:
    """The longer side of an image over its shorter side."""
    return max(image.size) / max(1, min(image.size))


def _names(paths: list[Path]) -> list[str]:
    return [f"{path.parent.name}/{path.name}" for path in paths]


def _differing_classes(checked: list[Checked]) -> Iterator[str]:
    """The classes that some domain lacks, and how to leave them out."""
    labelled = [set(domain.classes) for domain in checked if "" not in domain.classes]
    common = sorted(set.intersection(*labelled)) if labelled else []
    if lacking := sorted(set.union(*labelled) - set(common)) if labelled else []:
        advice = f"--data.classes [{','.join(common)}] leaves them out" if len(common) > 1 else "give the class folders the same names"
        yield f"not in every domain: {few(lacking)}; {advice}"


def _repeated(checked: list[Checked]) -> Iterator[str]:
    """The images that are there twice, byte by byte, by where: they leak where domains or classes share them."""
    places: dict[str, list[tuple[str, str, Path]]] = defaultdict(list)
    for domain in checked:
        for name, images in domain.classes.items():
            for image in images:
                if not image.error:
                    places[image.content].append((domain.domain, name, image.path))
    kinds: Counter[str] = Counter()
    example: dict[str, str] = {}
    for copies in places.values():
        if len(copies) > 1:
            kind = _kind(copies)
            kinds[kind] += 1
            example.setdefault(kind, " = ".join(str(path) for _, _, path in copies[:2]))
    for kind, count in sorted(kinds.items()):
        yield f"{count} images are there more than once {kind}, such as {example[kind]}"


def _kind(copies: list[tuple[str, str, Path]]) -> str:
    domains = sorted({domain for domain, _, _ in copies})
    if len(domains) > 1:
        return f"in {' and '.join(domains)}"
    return f"in {domains[0]}" + (", under different classes" if len({name for _, name, _ in copies}) > 1 else "")


def _require_whole(checked: list[Checked]) -> None:
    damaged = [image for domain in checked for image in domain.damaged]
    missing = [path for domain in checked for path in domain.missing]
    if damaged:
        raise UserError(
            f"{len(damaged)} images cannot be read, the first: {damaged[0].path}: get them again, or train with --data.on_error skip"
        )
    if missing:
        raise UserError(f"{len(missing)} images of the lists are missing, the first: {missing[0]}: get them again, or take the lists away")


# What is shown


def _thumbnails(images: list[Image], turned: bool) -> list[Any]:
    """The first, the middle and the last of ``images``, small."""
    whole = [image.path for image in images if not image.error]
    rows = sorted({round(i * (len(whole) - 1) / (SHOWN - 1)) for i in range(SHOWN)}) if whole else []
    return [_fitted(decode(whole[row], turned)) for row in rows]


def _fitted(image: Any) -> Any:
    from PIL import ImageOps

    return ImageOps.pad(image, (THUMBNAIL, THUMBNAIL), color="white")


def contact_sheet(checked: list[Checked]) -> Picture:
    """A picture with a row a class, and of each domain :data:`SHOWN` images a class."""
    from PIL import Image, ImageDraw

    every = list(dict.fromkeys(name for domain in checked for name in domain.classes))
    names = every[:MOST_ROWS]
    margin, head, block = 8 * max([len(name) for name in names] + [8]), 20, SHOWN * (THUMBNAIL + 2) + 12
    sheet = Image.new("RGB", (margin + block * len(checked), head + (THUMBNAIL + 2) * len(names) + 20), "white")
    draw = ImageDraw.Draw(sheet)
    for column, domain in enumerate(checked):
        draw.text((margin + block * column, 4), domain.domain, fill="black")
        for row, name in enumerate(names):
            for i, image in enumerate(domain.thumbnails.get(name, ())):
                sheet.paste(image, (margin + block * column + i * (THUMBNAIL + 2), head + row * (THUMBNAIL + 2)))
    for row, name in enumerate(names):
        draw.text((4, head + row * (THUMBNAIL + 2) + THUMBNAIL // 2 - 6), name, fill="black")
    if len(every) > len(names):
        draw.text((4, sheet.height - 16), f"and {len(every) - len(names)} more classes", fill="black")
    return sheet
