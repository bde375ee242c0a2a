"""HTML pages that need no other file: their style, tables and pictures."""

import base64
import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

STYLE = """
:root { color-scheme: light; --ink: #1d2433; --soft: #5b6475; --line: #d9dee7; --tint: #f5f7fa; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.note { color: var(--soft); } .warning { background: #fff6e0; border-left: 4px solid #e0a100;
       padding: .6rem .9rem; }
table { border-collapse: collapse; } th, td { padding: .3rem .9rem .3rem 0; text-align: left;
       border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
pre { background: var(--tint); padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
       font-size: .85rem; }
img, svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-end; }
figure { margin: 0; font-size: .75rem; overflow-wrap: anywhere; }
.charts { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 1rem; }
.charts > div { flex: 1 1 26rem; }
"""


class Section(NamedTuple):
    """A titled part of the page; `body` is HTML."""

    title: str
    body: str


def page(title: str, sections: Iterable[Section], warning: str = "") -> str:
    """A complete page.

    Parameters
    ----------
    warning
        Text above the sections; '' for none.
    """
    banner = f'<p class="warning">{html.escape(warning)}</p>' if warning else ""
    parts = [f"<h2>{html.escape(title)}</h2>\n{body}" for title, body in sections]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f"<h1>{html.escape(title)}</h1>\n{banner}\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """HTML table with numbers aligned to the right."""

    def cell(value: object, tag: str) -> str:
        if isinstance(value, float):
            value = f"{value:.5f}"
        is_number = isinstance(value, int) or str(value).replace(".", "").isdecimal()
        css = ' class="number"' if is_number else ""
        return f"<{tag}{css}>{html.escape(str(value))}</{tag}>"

    lines = ["<tr>" + "".join(cell(value, "th") for value in header) + "</tr>"]
    lines += ["<tr>" + "".join(cell(value, "td") for value in row) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def image_tag(image: np.ndarray, description: str) -> str:
    """HTML of an image, uint8 (H, W, 3) RGB, embedded as JPEG."""
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
    data = base64.b64encode(encoded.tobytes()).decode("ascii")
    return f'<img alt="{html.escape(description)}" src="data:image/jpeg;base64,{data}">'


def picture_row(figures: Iterable[str]) -> str:
    """HTML of figures side by side."""
    return f'<div class="pictures">{"".join(figures)}</div>'


def figure_tag(picture: str, caption: Sequence[str], width: int) -> str:
    """HTML of a picture with lines of text below it.

    Parameters
    ----------
    picture
        HTML.
    width
        In pixels.
    """
    text = "<br>".join(html.escape(line) for line in caption if line)
    return f'<figure style="width:{width}px">{picture}<figcaption>{text}</figcaption></figure>'
