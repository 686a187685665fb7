"""Server-rendered pages that work without JavaScript: every text is escaped here and nowhere else.

The style sheet is `/static/pages.css`; the content security policy allows nothing inline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

# In the page itself: a page that is exported to files, or seen without signing in, asks for nothing more.
ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='7' "
    "fill='%2312202e'/%3E%3Cpath fill='%23f2c14e' d='M16 6.5c-4.2 0-6.6 3-6.6 7.2v4.4L7.2 21.6h17.6l-2.2-3.5v-4.4c0-4.2-2.4-7.2"
    "-6.6-7.2zM13.2 23.4a2.8 2.8 0 0 0 5.6 0z'/%3E%3C/svg%3E"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a form. `kind` is the input's type."""

    name: str
    label: str
    kind: str = "text"
    value: str = ""
    autocomplete: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """A POST form; `hidden` fields go with it. `action` empty = back to the page's own address, with what stands behind its #."""

    action: str
    button: str = ""
    fields: Sequence[Field] = ()
    hidden: Mapping[str, str] = field(default_factory=dict)
    answers: Sequence[tuple[str, str]] = ()
    """(value, text) of several buttons in place of the one; the one pressed comes as the field `answer`."""


def page(
    title: str,
    lines: Sequence[str] = (),
    *,
    form: Form | None = None,
    error: str = "",
    facts: Sequence[tuple[str, str]] = (),
    links: Sequence[tuple[str, str]] = (),
    note: str = "",
    prefix: str = "",
    body: str = "",
    head: str = "",
    stylesheet: str = "",
    brand: bool = True,
    top: str = "",
    below: str = "",
) -> str:
    """A whole page. `body`, `head`, `top` (above the title) and `below` (the form) alone are HTML, built by the caller from
    escaped parts; everything else is text.

    `brand`: Tocsin's name stands on top; not where a page speaks for somebody else.
    """
    parts = [top, '<p class="brand">Tocsin</p>'] if brand else [top]
    parts.append(f"<h1>{escape(title)}</h1>")
    if error:
        parts.append(f'<p class="error" role="alert">{escape(error)}</p>')
    parts += [f"<p>{escape(line)}</p>" for line in lines]
    if facts:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts)
        parts.append(f"<dl>{rows}</dl>")
    parts.append(body)
    if form is not None:
        parts.append(_form(form))
    parts.append(below)
    if links:
        parts.append("<p>" + " ".join(f'<a href="{safe_href(url)}">{escape(text)}</a>' for text, url in links) + "</p>")
    if note:
        parts.append(f'<p class="note">{escape(note)}</p>')
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="robots" content="noindex">'
        f'<link rel="icon" href="{ICON}">'
        f"<title>{escape(title)}{' · Tocsin' if brand else ''}</title>"
        f'<link rel="stylesheet" href="{escape(stylesheet or prefix + "/static/pages.css")}">'
        f"{head}</head><body><main>{''.join(parts)}</main></body></html>"
    )


def _form(form: Form) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in form.hidden.items()
    )
    inputs = "".join(_input(item) for item in form.fields)
    buttons = (
        "".join(f'<button name="answer" value="{escape(value)}">{escape(text)}</button> ' for value, text in form.answers)
        or f"<button>{escape(form.button)}</button>"
    )
    action = f' action="{escape(form.action)}"' if form.action else ""
    return f'<form method="post"{action}>{hidden}{inputs}{buttons}</form>'


def _input(item: Field) -> str:
    complete = f' autocomplete="{escape(item.autocomplete)}"' if item.autocomplete else ""
    required = " required" if item.required else ""
    value = f' value="{escape(item.value)}"' if item.value else ""
    name = escape(item.name)
    return (
        f'<label for="{name}">{escape(item.label)}</label>'
        f'<input id="{name}" name="{name}" type="{escape(item.kind)}"{value}{complete}{required}>'
    )


def safe_href(url: str) -> str:
    """An escaped URL when it is http(s) or a path of ours; `#` otherwise (javascript:, data:, //elsewhere)."""
    if url.startswith(("http://", "https://")) or is_own_path(url):
        return escape(url)
    return "#"


def is_own_path(url: str) -> bool:
    """A path of this server: `/x`, never `//host` or `/\\host` (open redirects)."""
    return url.startswith("/") and not url.startswith(("//", "/\\")) and not any(ord(c) < 0x20 for c in url)
