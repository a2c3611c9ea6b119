"""What pyproject.toml cannot say: a wheel carries the overlays and tables, in their folders, as ``tlda/shipped``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("experiments", "benchmarks/tables", "benchmarks/published", "benchmarks/rank")


class WithShipped(build_py):
    """Copies them into what becomes the wheel; an editable installation finds those of the checkout."""

    def run(self) -> None:
        super().run()
        for folder in () if self.editable_mode else SHIPPED:
            for path in Path(folder).rglob("*.yaml"):
                place = Path(self.build_lib, "tlda", "shipped", path)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place)


setup(cmdclass={"build_py": WithShipped})
