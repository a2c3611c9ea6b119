"""Sounds: clips of one length and rate, from files or from a synthesiser."""

from tlda.data.sound.clips import Clips, read_clip
from tlda.data.sound.sounds import Sounds
from tlda.data.sound.spoken import Spoken

__all__ = ["Clips", "Sounds", "Spoken", "read_clip"]
