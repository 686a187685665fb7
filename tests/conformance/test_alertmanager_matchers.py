"""Random matcher texts: taken or refused as the real Alertmanager takes or refuses them."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
import yaml
from tests.conformance.alertmanager_peer import peer, real_alertmanager

from tocsin.formats.matchers import MatcherError, format_matcher, format_matchers, parse_matcher, parse_matchers

TEXTS = int(os.environ.get("TOCSIN_MATCHERS", "1000"))
CONFIG = "{route: {receiver: r}, receivers: [{name: r}]}"
PIECES = (
    *(
        "a",
        "foo",
        "a.b",
        "ü",
        "日本",
        "x-y",
        "_z",
        "0n",
        " ",
        "  ",
        "\t",
        "=",
        "!=",
        "=~",
        "!~",
        "!",
        "~",
        '"',
        '"bar"',
        '"b\\"c"',
    ),
    *(
        '"b\\nc"',
        '"\\x41"',
        '"\\u00fc"',
        '"\\q"',
        "\\",
        "\\n",
        ",",
        ", ",
        "{",
        "}",
        "'",
        "`",
        ".*",
        "[a-z]+",
        "(",
        ")",
        "a|b",
        "\\\\d",
        "\\d",
    ),
    *("a{2}", "(?i)x", "(?=y)", "$", "^", "1.5", '""', "\n", "=bar", 'foo="bar"', "foo=~.+", "foo!~b.r"),
)


def random_text(rng: random.Random) -> str:
    if rng.random() < 0.5:
        op = rng.choice(["=", "!=", "=~", "!~", " = ", "=~ "])
        text = rng.choice(PIECES) + op + rng.choice(PIECES)
        return text if rng.random() < 0.7 else text + "," + rng.choice(PIECES) + op + rng.choice(PIECES)
    return "".join(rng.choice(PIECES) for _ in range(rng.randint(0, 6)))


@pytest.mark.peer
def test_single_matchers_are_taken_or_refused_alike(tmp_path: Path) -> None:
    """Asked as `filter=` of the API, which wants exactly one matcher without braces."""
    rng = random.Random(7)
    wrong = []
    with real_alertmanager(tmp_path, CONFIG) as real:
        for text in (random_text(rng) for _ in range(TEXTS)):
            status, answer = real.get("/api/v2/silences", filter=text)
            try:
                parse_matcher(text)
                mine = 200
            except MatcherError:
                mine = 400
            if mine != status:
                wrong.append((text, mine, status, answer))
    assert not wrong, f"{len(wrong)} of {TEXTS} differ: {wrong[:5]}"


@pytest.mark.peer
def test_matcher_lists_are_taken_or_refused_and_read_alike(tmp_path: Path) -> None:
    """As the `matchers:` of a route; what was read shows in amtool's drawing of the tree."""
    amtool = peer("amtool")
    rng = random.Random(11)
    texts = ["{}", "", " ", "{a=b,}", "a=b,", ",", "{a=b", "a=b}", "a=b,,c=d", '{"a.b"=~"x.*", c!=d}']
    while len(texts) < TEXTS:
        text = random_text(rng)
        texts.append(text if rng.random() < 0.5 else "{" + text + "}")
    files = []
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.yml"
        routes = [{"receiver": "r", "matchers": [text]}]
        config = {"route": {"receiver": "r", "routes": routes}, "receivers": [{"name": "r"}]}
        file.write_text(yaml.safe_dump(config, allow_unicode=True))
        files.append(file)
    refused: set[str] = set()
    for start in range(0, len(files), 200):
        done = subprocess.run(
            [amtool, "check-config", *map(str, files[start : start + 200])], capture_output=True, text=True, check=False
        )
        current = ""
        for line in done.stdout.splitlines():
            if line.startswith("Checking '"):
                current = Path(line.split("'")[1]).name
                if "FAILED" in line:
                    refused.add(current)
            elif "FAILED" in line:
                refused.add(current)
    assert TEXTS // 10 < len(refused) < TEXTS, "amtool's answer was not understood"
    wrong = []
    for number, text in enumerate(texts):
        try:
            parse_matchers(text)
            mine = True
        except MatcherError:
            mine = False
        theirs = f"{number}.yml" not in refused
        if mine != theirs:
            wrong.append((text, mine, theirs))
    assert not wrong, f"{len(wrong)} of {len(texts)} differ: {wrong[:5]}"


@pytest.mark.peer
def test_what_both_accept_means_the_same(tmp_path: Path) -> None:
    """The real parser's reading of a text, as silences stored through amtool show it."""
    amtool = peer("amtool")
    rng = random.Random(13)
    with real_alertmanager(tmp_path, CONFIG) as real:
        asked = 0
        for text in (random_text(rng) for _ in range(TEXTS)):
            try:
                ours = parse_matcher(text)
            except MatcherError:
                continue
            if ours.matches_empty or asked >= 40 or text.startswith("-") or "\n" in text:
                continue
            asked += 1
            url = f"--alertmanager.url={real.url}"
            made = subprocess.run(
                [amtool, url, "silence", "add", "--comment=c", text], capture_output=True, text=True, check=False
            )
            if made.returncode != 0:
                continue
            stored = real.get(f"/api/v2/silence/{made.stdout.split()[-1]}")[1]["matchers"]
            assert [(m["name"], m["value"]) for m in stored] == [(ours.name, ours.value)], text


def test_printed_matchers_are_read_back() -> None:
    rng = random.Random(17)
    for text in (random_text(rng) for _ in range(3000)):
        try:
            matcher = parse_matcher(text)
        except MatcherError:
            continue
        if not matcher.name:
            continue  # both grammars take `""=x`, and neither can write it down again
        assert parse_matcher(format_matcher(matcher)) == matcher, text
        assert parse_matchers(format_matchers([matcher, matcher])) == (matcher, matcher), text
