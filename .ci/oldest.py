"""Print the lower bound of every dependency of pyproject.toml as a pin, except torch and what belongs to it."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["wandb"]:
    name, oldest = re.match(r"([\w\-\[\]]+)>=([\w.]+)", requirement).groups()
    if name not in ("torch", "torchvision"):  # gigabytes, and their bounds are the newest release
        print(f"{name}=={oldest}")
