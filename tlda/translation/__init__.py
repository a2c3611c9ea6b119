"""Images in the look of another domain: generators, the two-way translator, and data sets that it writes."""

from tlda.translation.cycle import Translator
from tlda.translation.generators import Generator, ResNetGenerator, UNetGenerator, WarpedGenerator

__all__ = ["Generator", "ResNetGenerator", "Translator", "UNetGenerator", "WarpedGenerator"]
