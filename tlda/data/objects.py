"""Photographs, drawings and renderings of objects: the image sets that the field measures on, in their distributors' folders.

Each is :class:`Folders` with the names of its domains and the published counts. They lie in the data root (``TLDA_DATA`` or
``--data.root``) under their own name, or are that root; lists as TLLib's (``image_list/DOMAIN.txt``) are used where there are some.
"""

from __future__ import annotations

from typing import ClassVar

from tlda.data.folders import Folders
from tlda.data.layouts import Layout, Synsets


def _table(domains: str, rows: str) -> dict[str, dict[str, int]]:
    """By domain and class, the counts in lines of ``CLASS COUNT COUNT …``."""
    lines = [line.split() for line in rows.split("\n") if line.strip()]
    return {domain: {line[0]: int(line[column]) for line in lines} for column, domain in enumerate(domains.split(), 1)}


OFFICE_31 = _table(
    "amazon dslr webcam",
    """
    back_pack 92 12 29
    bike 82 21 21
    bike_helmet 72 24 28
    bookcase 82 12 12
    bottle 36 16 16
    calculator 94 12 31
    desk_chair 91 13 40
    desk_lamp 97 14 18
    desktop_computer 97 15 21
    file_cabinet 81 15 19
    headphones 99 13 27
    keyboard 100 10 27
    laptop_computer 100 24 30
    letter_tray 98 16 19
    mobile_phone 100 31 30
    monitor 99 22 43
    mouse 100 12 30
    mug 94 8 27
    paper_notebook 96 10 28
    pen 95 10 32
    phone 93 13 16
    printer 100 15 20
    projector 98 23 30
    punchers 98 18 27
    ring_binder 90 10 40
    ruler 75 7 11
    scissors 100 18 25
    speaker 99 26 30
    stapler 99 21 24
    tape_dispenser 96 22 23
    trash_can 64 15 21
    """,
)
OFFICE_CALTECH_10 = _table(
    "amazon caltech10 dslr webcam",
    """
    backpack 92 151 12 29
    bike 82 110 21 21
    calculator 94 100 12 31
    headphones 99 138 13 27
    keyboard 100 85 10 27
    laptop 100 128 24 30
    monitor 99 133 22 43
    mouse 100 94 12 30
    mug 94 87 8 27
    projector 98 97 23 30
    """,
)
VISDA_2017 = _table(
    "synthetic real",
    """
    aeroplane 14309 3646
    bicycle 7365 3475
    bus 16640 4690
    car 12800 10401
    horse 9512 4691
    knife 14240 2075
    motorcycle 17360 5796
    person 12160 4000
    plant 10731 4549
    skateboard 11680 2281
    train 16000 4236
    truck 9600 5548
    """,
)
PACS_COUNTS = _table(
    "photo art_painting cartoon sketch",
    """
    dog 189 379 389 772
    elephant 202 255 457 740
    giraffe 182 285 346 753
    guitar 186 184 135 608
    horse 199 201 324 816
    house 280 295 288 80
    person 432 449 405 160
    """,
)


def _alike(*domains: str) -> dict[str, tuple[str, ...]]:
    """Domains whose folders have their names."""
    return {domain: (domain,) for domain in domains}


class OfficeCaltech10(Folders):
    """Office-Caltech10: 10 classes that Office-31 and Caltech-256 share (Gong et al., CVPR 2012).

    The domains are ``amazon`` (958 images), ``caltech10`` (1,123), ``dslr`` (157) and ``webcam`` (295).
    """

    layout: ClassVar[Layout] = Layout(
        "OfficeCaltech10",
        ("office_caltech10", "office-caltech10", "office-caltech", "OfficeCaltech"),
        {"amazon": ("amazon",), "caltech10": ("caltech10", "caltech"), "dslr": ("dslr",), "webcam": ("webcam",)},
        OFFICE_CALTECH_10,
        renamed={"back_pack": "backpack", "laptop_computer": "laptop"},
    )


class Office31(Folders):
    """Office-31: 31 classes of things in an office (Saenko et al., ECCV 2010).

    The domains are ``amazon`` (2,817 images), ``dslr`` (498) and ``webcam`` (795).
    """

    layout: ClassVar[Layout] = Layout("Office31", ("office31", "office-31", "office"), _alike("amazon", "dslr", "webcam"), OFFICE_31)


class OfficeHome(Folders):
    """Office-Home: 65 classes of things at home and at work (Venkateswara et al., CVPR 2017).

    The domains are ``art`` (2,427 images), ``clipart`` (4,365), ``product`` (4,439) and ``real_world`` (4,357).
    """

    layout: ClassVar[Layout] = Layout(
        "OfficeHome",
        ("office_home", "office-home", "OfficeHome", "OfficeHomeDataset_10072016"),
        {
            "art": ("Art", "art"),
            "clipart": ("Clipart", "clipart"),
            "product": ("Product", "product"),
            "real_world": ("Real World", "Real_World", "RealWorld", "real_world"),
        },
        {"art": 2427, "clipart": 4365, "product": 4439, "real_world": 4357},
    )


class VisDA2017(Folders):
    """VisDA-2017: 12 classes, from renderings to photographs (Peng et al., 2017).

    The domains are ``synthetic`` (the folder ``train``, 152,397 images) and ``real`` (``validation``, 55,388).
    """

    layout: ClassVar[Layout] = Layout(
        "VisDA2017",
        ("visda2017", "visda-2017", "VisDA2017", "visda"),
        {"synthetic": ("train",), "real": ("validation",)},
        VISDA_2017,
        lists=("image_list/{}.txt", "{}/image_list.txt"),
        usual=("synthetic", "real"),
    )


class DomainNet(Folders):
    """DomainNet, cleaned: 345 classes (Peng et al., ICCV 2019).

    The domains are ``clipart``, ``infograph``, ``painting``, ``quickdraw``, ``real`` and ``sketch``. Their distributor's lists
    ``DOMAIN_train.txt`` and ``DOMAIN_test.txt`` say which images train and which measure; without them all do both.
    """

    layout: ClassVar[Layout] = Layout(
        "DomainNet",
        ("domainnet", "domain_net", "DomainNet"),
        _alike("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
        {"clipart": 48129, "infograph": 51605, "painting": 72266, "quickdraw": 172500, "real": 172947, "sketch": 69128},
        lists=("image_list/{}_train.txt", "{}_train.txt", "txt/{}_train.txt"),
        test_lists=("image_list/{}_test.txt", "{}_test.txt", "txt/{}_test.txt"),
    )


class PACS(Folders):
    """PACS: 7 classes as photographs, paintings, cartoons and sketches (Li et al., ICCV 2017).

    The domains are ``photo`` (1,670 images), ``art_painting`` (2,048), ``cartoon`` (2,344) and ``sketch`` (3,929). With three of
    them as the source (``--data.source [photo,cartoon,sketch]``) the fourth is the one that is left out.
    """

    layout: ClassVar[Layout] = Layout(
        "PACS",
        ("pacs", "PACS"),
        _alike("photo", "art_painting", "cartoon", "sketch"),
        PACS_COUNTS,
        places=("{}", "images/{}", "kfold/{}"),
    )


class TinyImageNet(Folders):
    """Tiny-ImageNet: 200 of ImageNet's classes at 64 x 64, by the first name that ``words.txt`` gives each.

    The domains are ``train`` (100,000 images) and ``val`` (10,000, sorted into a folder per class). Networks with ImageNet weights
    have seen all of the classes.
    """

    layout: ClassVar[Layout] = Synsets(
        "TinyImageNet",
        ("tiny_imagenet", "tiny-imagenet-200", "tiny-imagenet"),
        _alike("train", "val"),
        {"train": 100_000, "val": 10_000},
        places=("{}",),
        usual=("train", "val"),
    )
