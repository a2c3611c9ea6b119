"""What several processes of a run do together."""

from __future__ import annotations

from typing import TypeVar

from torch import distributed

Own = TypeVar("Own")


def of_all(own: Own) -> list[Own]:
    """What each process of the run gives as its ``own``, in the order of the processes; in every one of them."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [own]
    gathered: list[Own] = [own] * distributed.get_world_size()
    distributed.all_gather_object(gathered, own)
    return gathered
