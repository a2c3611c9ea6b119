"""What pyproject.toml cannot say: a wheel carries overlays, tables and `tlda init`'s project, in their folders, as ``tlda/shipped``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = {
    "experiments": "*.yaml",
    "benchmarks/tables": "*.yaml",
    "benchmarks/published": "*.yaml",
    "benchmarks/rank": "*.yaml",
    "examples/project": "*",
}


class WithShipped(build_py):
    """Copies them into what becomes the wheel; an editable installation finds those of the checkout."""

    def run(self) -> None:
        super().run()
        for folder, pattern in () if self.editable_mode else SHIPPED.items():
            for path in Path(folder).rglob(pattern):
                if path.is_dir() or path.suffix == ".pyc":
                    continue
                place = Path(self.build_lib, "tlda", "shipped", path)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)


setup(cmdclass={"build_py": WithShipped})
