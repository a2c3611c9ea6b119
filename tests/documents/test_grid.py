"""What people write in labels and titles breaks no table."""

from __future__ import annotations

from tlda.documents.grid import Grid, latex, markdown, page

DOCUMENT: list[str | Grid] = ["A title\nof two lines", "A note", Grid(["method", "a|b"], [["α < β\nΓ", "Α_1"], ["x", "1.0"]], {(0, 1)})]


def test_a_line_break_or_a_bar_breaks_no_markdown() -> None:
    assert markdown(DOCUMENT).splitlines() == [
        "# A title of two lines",
        "",
        "A note",
        "",
        r"| method | a\|b |",
        "|---|---|",
        "| α < β Γ | **Α_1** |",
        "| x | 1.0 |",
    ]


def test_latex_has_a_command_for_what_it_cannot_print() -> None:
    lines = latex(DOCUMENT).splitlines()
    assert "% A title of two lines" in lines
    assert r"method & a$|$b \\" in lines
    assert r"$\alpha$ $<$ $\beta$ $\Gamma$ & \textbf{A\_1} \\" in lines


def test_a_page_escapes() -> None:
    assert "α &lt; β" in page(DOCUMENT)
