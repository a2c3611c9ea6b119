"""YAML in which every plain value is text, except true, false, null and plain numbers."""

from __future__ import annotations

import re

import yaml
from jsonargparse import set_loader

from tlda.options.recorded import Plain

BOOL, INT, FLOAT, TIME = (f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp"))


class Loader(yaml.SafeLoader):
    """YAML's safe loader without the readings of YAML 1.1 that change a name: ``no``, ``007``, ``00E5``, ``1:30``, ``2019-01-01``."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (BOOL, INT, FLOAT, TIME)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
Loader.add_implicit_resolver(INT, re.compile("^[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))
Loader.add_implicit_resolver(
    FLOAT,
    re.compile(
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|(?:0|[1-9][0-9]*)(?=[eE]))(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def load(text: str) -> Plain:
    """The contents of ``text``."""
    content: Plain = yaml.load(text, Loader)
    return content


def load_option(text: str) -> Plain:
    """The value of an option in the command's text; text that only looks like a mapping, such as ``name:`` or ``{a, b}``, stays text."""
    if text == "None":  # what jsonargparse makes of a null that an option within an option is given
        return None
    value = load(text)
    if isinstance(value, dict) and value and all(inner is None for inner in value.values()):
        names = set(text.strip(" {}").replace(" ", "").split(","))
        return text if names == set(value) or text.strip() == f"{next(iter(value))}:" else value
    return value


set_loader("yaml", load_option, (yaml.YAMLError,))
