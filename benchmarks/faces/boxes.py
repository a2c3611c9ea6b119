"""Write the boxes of faces that dlib's detector finds: python benchmarks/faces/boxes.py ROOT DOMAIN... > boxes.csv (pip install dlib-bin).

The detector of frontal faces (HOG), the largest face of an image; where it finds none, in the image at twice and at four times its size.
"""

import csv
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlda.data.faces import Box, people_in


def face(detect: Any, path: Path) -> Box | None:
    """The largest face of an image, in its pixels; None where none is found."""
    with Image.open(path) as image:
        grey = image.convert("L")
    for times in (1, 2, 4):
        found = detect(np.array(grey.resize((grey.width * times, grey.height * times), Image.Resampling.BILINEAR)), 0)
        if len(found):
            box = max(found, key=lambda box: box.area())
            return box.left() / times, box.top() / times, box.right() / times, box.bottom() / times
    return None


if __name__ == "__main__":
    root, detector = Path(sys.argv[1]), importlib.import_module("dlib").get_frontal_face_detector()
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["path", "left", "top", "right", "bottom"])
    for image in sorted(image for domain in sys.argv[2:] for images in people_in(root / domain).values() for image in images):
        if (found := face(detector, image)) is not None:
            out.writerow([image.relative_to(root).as_posix(), *(f"{side:g}" for side in found)])
