"""Make a few images per class of the field's image sets in the folders and lists of their distributors, to try a table without the data.

``python benchmarks/layouts/make.py FOLDER --images 2`` makes Office-31, Office-Home, VisDA-2017 and DomainNet below FOLDER, then
``TLDA_DATA``. Each image is a pattern of its class in a colour of its domain: it stands for shapes and names, and nothing is measured.
"""

from __future__ import annotations

import argparse
import colorsys
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from PIL import Image

from tlda.data.objects import OFFICE_31, VISDA_2017

NAMES = {name: text.split() for name, text in yaml.safe_load(Path(__file__).with_name("classes.yaml").read_text(encoding="utf-8")).items()}
SETS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "office31": (("amazon", "dslr", "webcam"), list(OFFICE_31["amazon"])),
    "office_home": (("Art", "Clipart", "Product", "Real_World"), NAMES["office_home"]),
    "visda2017": (("train", "validation"), list(VISDA_2017["synthetic"])),
    "domainnet": (("clipart", "infograph", "painting", "quickdraw", "real", "sketch"), NAMES["domainnet"]),
}
"""The domains' folders and the classes of each set, by the name of its own folder."""


def make(folder: Path, name: str, images: int, size: tuple[int, int] = (320, 256)) -> int:
    """Make the set ``name`` below ``folder``, with so many ``images`` of each class and domain, and return their number."""
    domains, classes = SETS[name]
    home, count = folder / name, 0
    for number, domain in enumerate(domains):
        lines = []
        for label, cls in enumerate(sorted(classes)):
            for i in range(images):
                path = home / domain / ("images" if name == "office31" else "") / cls / f"{domain}_{i + 1:04}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                _picture(label, number / len(domains), i, size).save(path)
                lines.append((path, label))
        count += len(lines)
        for file, part, base in _lists(home, name, domain, lines):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{path.relative_to(base).as_posix()} {label}\n" for path, label in part), encoding="utf-8")
    return count


Lines = list[tuple[Path, int]]


def _lists(home: Path, name: str, domain: str, lines: Lines) -> Iterator[tuple[Path, Lines, Path]]:
    """The files of the lists of ``domain``, the images on each, and the folder that their paths count from."""
    if name == "visda2017":
        yield home / domain / "image_list.txt", lines, home / domain
    elif name == "domainnet":
        half = [line for line in lines if line[0].stem.endswith("_0001")]
        yield home / "image_list" / f"{domain}_train.txt", lines, home
        yield home / "image_list" / f"{domain}_test.txt", half, home
    else:
        yield home / "image_list" / f"{domain}.txt", lines, home


def _picture(label: int, hue: float, number: int, size: tuple[int, int]) -> Image.Image:
    """A pattern of 4 x 4 fields that is that of the class, in the hue of the domain, with a little noise."""
    fields, noise = random.Random(label), random.Random(1000 * label + number)
    picture = Image.new("RGB", (4, 4))
    for place in range(16):
        light = min(1.0, max(0.0, fields.random() + 0.1 * noise.random()))
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.5, light))
        picture.putpixel((place % 4, place // 4), (red, green, blue))
    return picture.resize(size, Image.Resampling.NEAREST)


def main() -> None:
    """Make the sets that the command names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2, help="of each class and domain")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options = parser.parse_args()
    for name in options.sets:
        print(f"{options.folder / name}: {make(options.folder, name, options.images)} images")


if __name__ == "__main__":
    main()
