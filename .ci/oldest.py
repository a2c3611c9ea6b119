"""Print the lower bound of what installs in reasonable time as a pin: every dependency of pyproject.toml but torch, W&B and Optuna.

The bounds of the others were tested by hand, in one environment of all lower bounds (Python 3.11, torch 2.6.0, torchvision 0.21.0,
Lightning 2.6.0, transformers 4.48.0, tokenizers 0.21.0, peft 0.14.0, ray 2.40.0, optuna 4.0.0, torch-fidelity 0.3.0): the quick tests of
commands, configurations, backbones, losses, metrics, tasks, methods' contract, data, fine-tuning and training.
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
for requirement in project["dependencies"] + extras["wandb"] + extras["tune"]:
    name, oldest = re.match(r"([\w\-\[\]]+)>=([\w.]+)", requirement).groups()
    if name not in ("torch", "torchvision"):  # gigabytes
        print(f"{name}=={oldest}")
