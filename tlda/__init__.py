"""Transfer learning and domain adaptation, honestly measured."""

__version__ = "0.1.0"
