"""The shell of an HTML report: one file that asks for nothing else, light or dark, for screen and
paper. Everything in it is escaped on the way in: texts by ``Markup.format``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from markupsafe import Markup

_SHELL = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
""")


def html_page(title: str, body: Markup) -> str:
    """A page as one file. ``body`` is markup already; its caller has escaped the contents."""
    return str(_SHELL.format(title=title, style=_style(), body=body))


@cache
def _style() -> Markup:
    return Markup((Path(__file__).parent / "style.css").read_text(encoding="utf-8"))
