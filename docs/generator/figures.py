"""The figures of the concepts: boxes, labels and arrows, as SVG in the page's own colours."""

from __future__ import annotations

from collections.abc import Iterable

from tlda.documents.svg import text

ROW = 18
"""The height of a line of text."""


def box(x: float, y: float, width: float, height: float, lines: str, kind: str = "box") -> str:
    """A rectangle with lines of text in its middle, the first one strong."""
    rows = lines.split("\n")
    top = y + height / 2 - ROW * (len(rows) - 1) / 2 + 5
    strong = ['class="strong"', *[""] * (len(rows) - 1)]
    said = "".join(text(x + width / 2, top + ROW * i, row, "middle", f" {strong[i]}") for i, row in enumerate(rows))
    return f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>{said}'


def arrow(*points: tuple[float, float]) -> str:
    """A line through points with a head at its end."""
    return f'<polyline class="arrow" points="{" ".join(f"{x:g},{y:g}" for x, y in points)}" marker-end="url(#head)"/>'


def note(x: float, y: float, said: str, anchor: str = "start") -> str:
    """A small text beside a thing."""
    return text(x, y, said, anchor, ' class="note"')


HEAD = (
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">'
    '<path d="M0 0L8 4L0 8z"/></marker></defs>'
)


def figure(name: str) -> str:
    """The figure of that name as a block of HTML."""
    width, height, caption, parts = FIGURES[name]
    drawn = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{caption}">{HEAD}{"".join(parts)}</svg>'
    return f'<figure class="drawing" markdown="0">{drawn}<figcaption>{caption}</figcaption></figure>'


def ring(kind: str, x: float, radius: float) -> str:
    """A circle for the classes of a domain."""
    return f'<ellipse class="{kind}" cx="{x:g}" cy="100" rx="{radius:g}" ry="{radius:g}"/>'


def batch(y: float, name: str, fields: Iterable[tuple[str, bool]], use: str) -> str:
    """A line of the figure of batches: the type, its fields, and what it is for."""
    drawn = text(10, y + 25, name, "start", ' class="strong"')
    for number, (field, labels) in enumerate(fields):
        drawn += box(150 + 170 * number, y, 150, 40, f"{field}\n{'x, y' if labels else 'x alone'}", "box labelled" if labels else "box")
    return drawn + note(500, y + 25, use)


FIGURES: dict[str, tuple[int, int, str, list[str]]] = {
    "picture": (
        760,
        260,
        "Data make batches and the task; the method holds the network and the losses; the trainer runs them.",
        [
            box(10, 20, 170, 70, "DomainPair\nsource, target", "box labelled"),
            arrow((180, 55), (250, 55)),
            box(250, 20, 170, 70, "batch\nPair(source, target)"),
            arrow((420, 55), (490, 55)),
            box(490, 20, 260, 70, "Method\nobjective: task loss + losses"),
            box(10, 160, 170, 80, "Task\nhead, loss,\nmetrics, answers", "box labelled"),
            arrow((95, 90), (95, 160)),
            note(105, 130, "makes"),
            arrow((180, 200), (250, 200)),
            box(250, 160, 240, 80, "Network\nbackbone, bottleneck, head"),
            arrow((370, 160), (520, 90)),
            note(470, 130, "holds"),
            box(580, 160, 170, 80, "Loss\ncompares features\nof both domains"),
            arrow((665, 160), (665, 90)),
            note(675, 130, "is added"),
        ],
    ),
    "batches": (
        760,
        300,
        "The type of the training batch says what a method may see; a target without labels has no field for one.",
        [
            batch(10, "SourceBatch", [("source", True)], "source only"),
            batch(68, "Pair", [("source", True), ("target", False)], "unsupervised adaptation"),
            batch(126, "TargetBatch", [("target", False)], "source-free, test time"),
            batch(184, "LabelledPair", [("source", True), ("labelled", True)], "a few target labels"),
            batch(242, "OracleBatch", [("oracle", True)], "every target label: a bound"),
        ],
    ),
    "tasks": (
        760,
        230,
        "The data make the task; the task makes what the network ends in, what is minimised, what is measured and what is predicted.",
        [
            box(10, 80, 150, 70, "DomainPair\n.task"),
            arrow((160, 115), (220, 115)),
            box(220, 80, 170, 70, "Task\nplain options", "box labelled"),
            *(
                arrow((390, 115), (470, y + 20)) + box(470, y, 280, 40, said)
                for y, said in ((10, "head(num_features)"), (65, "loss(logits, y)"), (120, "metrics(place)"), (175, "answers(output, x)"))
            ),
        ],
    ),
    "settings": (
        760,
        270,
        "The classes of the source (blue) and of the target (orange) in the four settings of label sets.",
        [
            *(
                ring("source", x + a, r)
                + ring("target", x + b, s)
                + text(x + 85, 215, name, "middle", ' class="strong"')
                + text(x + 85, 235, said, "middle", ' class="note"')
                for x, name, said, a, r, b, s in (
                    (10, "closed", "the same classes", 82, 60, 88, 60),
                    (200, "partial", "the target lacks some", 85, 70, 100, 40),
                    (390, "open", "the target has unknowns", 70, 40, 85, 70),
                    (580, "universal", "each has its own", 60, 55, 110, 55),
                )
            ),
        ],
    ),
    "protocol": (
        760,
        230,
        "All that decides a result is hashed into the cell's key; results of different protocols never share an average.",
        [
            box(10, 10, 220, 60, "base\nnetwork, data, length"),
            box(10, 85, 220, 60, "method\nloss, trade-off"),
            box(10, 160, 220, 60, "transfer task, seed\nsource, target"),
            *(arrow((230, y), (310, 115)) for y in (40, 115, 190)),
            box(310, 80, 140, 70, "cell\nkey = hash", "box labelled"),
            arrow((450, 115), (510, 115)),
            box(510, 80, 100, 70, "result\none file"),
            arrow((610, 115), (650, 115)),
            box(650, 80, 100, 70, "table\nmean ± std"),
        ],
    ),
    "selection": (
        760,
        230,
        "What may choose a model: measures without target labels. What needs them is called oracle, and chooses nothing.",
        [
            box(10, 70, 170, 80, "epochs of a run\ncheckpoints"),
            arrow((180, 95), (260, 55)),
            arrow((180, 125), (260, 175)),
            box(260, 20, 240, 70, "validators\nval/target/…, no labels", "box labelled"),
            box(260, 140, 240, 70, "oracle\noracle/target/…", "box oracle"),
            arrow((500, 55), (580, 55)),
            box(580, 20, 170, 70, "selects\na checkpoint"),
            arrow((500, 175), (580, 175)),
            box(580, 140, 170, 70, "is shown beside\nand selects nothing"),
        ],
    ),
}
"""By name: the width, the height, the caption and the parts."""
