"""Features of a frozen network, computed once, that every method then trains on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from tlda.backbones import Backbone
from tlda.batch import ONE_DOMAIN, Rows, Sample
from tlda.data.arrays import digest, runs
from tlda.data.cache import mapped, slug
from tlda.data.delegated import DRAWN, refuse_idle, refuse_translated
from tlda.data.extractor import Extractor
from tlda.data.pair import DomainPair
from tlda.data.progress import progress
from tlda.data.rows import Domain, New, Subset, content, domains_of, lengths_of
from tlda.data.tasks import Relabelled, Tasks
from tlda.data.text.tokenizers import require_tokenizer
from tlda.errors import UserError
from tlda.options.recorded import Plain
from tlda.tasks import Task


@dataclass
class Scale:
    """The mean and the standard deviation of each feature, (d,)."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, parts: Sequence[Tensor]) -> Scale:
        """Those of features (n, d), in some parts; 1 is the standard deviation of one that is constant."""
        chunks = [part[rows] for part in parts for rows in runs(len(part), 8192)]
        count = sum(map(len, chunks))
        mean = sum((chunk.double().sum(0) for chunk in chunks), torch.zeros(())) / count
        std = (sum(((chunk.double() - mean).square().sum(0) for chunk in chunks), torch.zeros(())) / count).sqrt()
        return cls(mean.float(), torch.where(std > 1e-6 * (1 + mean.abs()), std, 1.0).float())


@dataclass
class FeatureRows:
    """Features (n, d) in half precision and the classes (n,) of their rows; a batch is in single precision, and scaled."""

    features: Tensor
    labels: Tensor
    scale: Scale | None = None
    domains: Tensor | None = None
    """The pooled domain of each row, (n,); None where there is one domain."""

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: Tensor) -> Sample:
        x = self.features[rows].float()
        if self.scale is not None:
            x = x.sub_(self.scale.mean).div_(self.scale.std)
        return Sample(x, self.labels[rows], rows, ONE_DOMAIN if self.domains is None else self.domains[rows])


class Features(DomainPair):
    """The features (n, d) that a frozen network gives of other data, kept in the cache: a method on them has the backbone ``Precomputed``.

    They are computed once for each set of rows and each network, whatever the method, the seed and the task. Another image, other
    weights or another size are another entry of the cache. Images are taken as they are, without augmentation.

    Args:
        data: the domains. Of its other options only ``num_workers`` counts, which read images while features are computed.
        extractor: the network.
        standardise: make each feature's mean 0 and its standard deviation 1, by those of the ``source``, or of ``each`` domain by its own;
            over all rows but those that are kept apart as test rows, and without labels.
        **kwargs: see :class:`DomainPair`.

    Raises:
        UserError: augmentations; translations; data with several tasks; another option of ``data`` that says how rows are drawn; features
            that half precision does not hold.
    """

    def __init__(
        self,
        data: DomainPair,
        extractor: Callable[[], Backbone],
        standardise: Literal["none", "source", "each"] = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if self.augment or data.augment:
            raise UserError("cached features are of images as they are: leave augment out, or train on the images with a backbone")
        if isinstance(data, (Relabelled, Tasks)):
            raise UserError(f"cached features have one task, and {type(data).__name__} has several: train on it with a backbone")
        if data.ten_crop:
            raise UserError("cached features are of one crop of each image: leave ten_crop out, or train on the images with a backbone")
        refuse_translated("Features", self, data)
        refuse_idle(DRAWN, data, "--data", self)
        if self.has_private_classes:
            raise UserError("the sets of classes are those of the data: give --data.data.source_private and --data.data.target_private")
        self.data, self.extractor, self.standardise, self.targets = data, extractor, standardise, data.targets

    @property
    def task(self) -> Task:
        return self.data.task

    @cached_property
    def loaded(self) -> tuple[Domain, Domain]:
        return self.data.narrowed(self.as_read)

    @property
    def transfer(self) -> str:
        return self.data.transfer

    @property
    def renamed(self) -> Mapping[str, str]:
        return self.data.renamed

    def describe_row(self, row: int) -> str:
        return self.data.describe_row(row)

    def fingerprint(self) -> str:
        return self.data.fingerprint()

    def load(self) -> tuple[Domain, Domain]:
        """The features of both domains, computed or read from the cache, and standardised where that is asked for."""
        extractor = Extractor(self.extractor, self._device)
        source, target = (self._computed(domain, extractor) for domain in self.data.as_read)
        if self.standardise == "none":
            return source, target
        # By the rows that take part: those of a class that a domain has not are no rows of it.
        scales = [_scale(domain) for domain in self.data.narrowed((source, target))]
        return _scaled(source, scales[0]), _scaled(target, scales[0 if self.standardise == "source" else 1])

    @property
    def fitted(self) -> Plain:
        if self.standardise != "source":
            return None
        rows: Any = self.as_read[0].train
        return {"mean": rows.scale.mean.tolist(), "std": rows.scale.std.tolist()}

    def read_new(self, place: str, fitted: Plain) -> New:
        rows, names = self.data.read_new(place, None)
        features = self._features("new", rows, Extractor(self.extractor, self._device))
        learnt = fitted if isinstance(fitted, dict) else self.fitted
        scale = Scale(*(torch.tensor(learnt[name]) for name in ("mean", "std"))) if isinstance(learnt, dict) else None
        return New(FeatureRows(features, rows.labels, Scale.of([features]) if self.standardise == "each" else scale), names)

    @property
    def _device(self) -> torch.device:
        if self.trainer is not None:
            device: torch.device = self.trainer.strategy.root_device
            return device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _computed(self, domain: Domain, extractor: Extractor) -> Domain:
        return domain.map(lambda rows: FeatureRows(self._features(domain.name, rows, extractor), rows.labels, domains=domains_of(rows)))

    def _features(self, name: str, rows: Rows, extractor: Extractor) -> Tensor:
        if not len(rows):
            return torch.empty(0, 0)
        key = digest([extractor.key.encode(), content(rows).encode()])
        return mapped(f"features/{slug(name)}-{slug(extractor.name)}-{key}", len(rows), lambda: self._extract(name, rows, extractor))

    def _extract(self, name: str, rows: Rows, extractor: Extractor) -> Iterable[Tensor]:
        require_tokenizer(extractor.network, self.data)
        lengths = lengths_of(rows)
        # Texts of like lengths together, or most of a batch would be padding.
        order = torch.arange(len(rows)) if lengths is None else lengths.argsort(stable=True)
        batches = self.data.loader(rows, [order[places] for places in runs(len(rows), extractor.batch_size)])
        computed = (extractor(batch.x) for batch in progress(f"features of {name}", batches, len(batches)))
        yield from computed if lengths is None else [torch.cat(list(computed))[order.argsort()]]


def _scale(domain: Domain) -> Scale:
    training: list[Any] = [rows for rows in (domain.train, domain.unlabelled) if rows is not None]
    return Scale.of([_features_of(rows) for rows in training])


def _features_of(rows: Any) -> Tensor:
    features: Tensor = _features_of(rows.data)[rows.rows] if isinstance(rows, Subset) else rows.features
    return features


def _scaled(domain: Domain, scale: Scale) -> Domain:
    return domain.map(lambda rows: replace(rows, scale=scale))
