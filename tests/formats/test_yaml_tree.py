"""What operators write as YAML: values with places, and texts that mean harm."""

import pytest

from tocsin.errors import ConfigError
from tocsin.formats.yaml_tree import as_written, parse_yaml, read_yaml


def test_values_remember_where_they_stood() -> None:
    tree = parse_yaml("checks:\n- name: a\n  ports: [80,\n    443]\n", "f")
    assert tree.value == {"checks": [{"name": "a", "ports": [80, 443]}]}
    lines = {
        path: tree.place(path).line for path in [("checks",), ("checks", 0), ("checks", 0, "ports"), ("checks", 0, "ports", 1)]
    }
    assert list(lines.values()) == [1, 2, 3, 4]
    assert tree.place(("checks", 0, "missing", "deeper")).line == 2, "what stands nowhere is said at what surrounds it"


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("1.10", 1.1, "1.10"),
        ("12:30", "12:30", "12:30"),
        ("on", "on", "on"),
        ("yes", "yes", "yes"),
        ("true", True, "true"),
        ("0x1F", 31, "0x1F"),
        ("007", "007", "007"),
        ("1_000", 1000, "1_000"),
        ("-5", -5, "-5"),
        ("2026-12-01", "2026-12-01", "2026-12-01"),
        ("~", None, None),
        ("'~'", "~", "~"),
        ("", None, None),
    ],
)
def test_a_leaf_is_what_it_says_or_what_was_written(text: str, value: object, written: str | None) -> None:
    found = parse_yaml(f"a: {text}", "f").value["a"]
    assert (found, type(found)) == (value, type(value))
    assert read_yaml(f"a: {text}", "f", as_written)[0].value == {"a": written}


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "a: " + "[" * 61 + "]" * 61])
def test_nesting_that_would_end_the_process_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="too deeply nested"):
        parse_yaml(text, "f")


def test_aliases_that_multiply_are_refused() -> None:
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8))
    with pytest.raises(ConfigError, match="aliases count each time"):
        parse_yaml(text, "f")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {b: *a}",
        "a: &a\n  <<: *a\n",
        "a: &a\n  <<: [*a, *a]\n",
        "a0: &a0 {}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 2000)),
    ],
)
def test_what_takes_itself_in_comes_to_an_end(text: str) -> None:
    with pytest.raises(ConfigError, match="too many or too deeply nested"):
        parse_yaml(text, "f")


def test_a_merge_takes_in_what_the_mapping_does_not_say_itself() -> None:
    text = "base: &base {every: 30s, tags: [a, b]}\nmore: &more {every: 1m, timeout: 5s}\none:\n  <<: *base\n  tags: [\n    c]\n"
    tree = parse_yaml(text + "two:\n  every: 2m\n  <<: [*base, *more]\n", "f")
    assert tree.value["one"] == {"every": "30s", "tags": ["c"]}
    assert tree.value["two"] == {"every": "2m", "tags": ["a", "b"], "timeout": "5s"}
    assert [tree.place(("one", "tags", 0)).line, tree.place(("one", "every")).line] == [6, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "f:4:3: b.c: the key 'c' is set twice"),
        ("a:\n  <<: 5\n", "f:2:3: a.<<: expected a mapping to take in"),
        ("? [a]\n: 1\n", "f:1:3: a key must be plain text"),
        ("a: \x00", "NUL bytes"),
        ("a: 1\n---\nb: 2\n", "expected a single document"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, said: str) -> None:
    tree, problems = read_yaml(text, "f")
    assert len(problems) == 1 and said in str(problems[0]), problems
    assert isinstance(tree.value, dict), "what could be read is there all the same"
