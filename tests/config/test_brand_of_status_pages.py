"""Logo, colour and link of a status page, and what is said of files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.cli.config import load
from tocsin.errors import ConfigError

FILE = """
status_pages:
  - {{slug: shop, title: Shop, {more} components: [{{name: Website, checks: [web]}}]}}
checks: [{{name: web, tcp: "127.0.0.1:9"}}]
"""
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"/>'


def loaded(folder: Path, more: str = ""):
    path = folder / "tocsin.yaml"
    path.write_text(FILE.format(more=more))
    return load([path]).status_pages[0]


def test_a_logo_beside_the_file_becomes_part_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "shop.svg").write_bytes(SVG)
    page = loaded(tmp_path, 'logo: shop.svg, colour: "#0b57a4", link: "https://shop.example",')
    assert page.logo.startswith("data:image/svg+xml;base64,") and page.colour == "#0b57a4"
    assert loaded(tmp_path).logo == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.svg", None, "No such file"),
        ("big.png", b"\x89PNG\r\n" + b"x" * 9000, "at most 8,192"),
        ("logo.gif", b"GIF89a", ".svg or .png"),
        ("text.png", b"no picture", "not what its name says"),
    ],
)
def test_a_logo_that_cannot_be_shown_is_refused_with_its_place(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, f"logo: {name},")
    [problem] = refused.value.problems
    assert said in problem.message and problem.path == "status_pages[0].logo" and problem.place.line == 3


@pytest.mark.parametrize("more", ['link: "javascript:alert(1)",', "colour: red,", 'colour: "#12",'])
def test_a_link_that_is_none_and_a_colour_that_is_none_are_refused(tmp_path: Path, more: str) -> None:
    with pytest.raises(ConfigError):
        loaded(tmp_path, more)
