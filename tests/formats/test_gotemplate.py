"""Go templates: what they print, what they refuse and where, and that none can hang."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.formats.goformat import format_float, sprintf
from tocsin.formats.gotemplate import Limits, TemplateError, compile_template
from tocsin.formats.gotemplate_parse import parse_template

FUNCTIONS = {"toUpper": str.upper, "join": lambda separator, items: separator.join(items)}


def run(text: str, data: Any = None, **variables: Any) -> str:
    names = tuple(f"${name}" for name in variables)
    return compile_template(text, FUNCTIONS, variables=names).run(
        data, variables=dict(zip(names, variables.values(), strict=True))
    )


class Alerts:
    """As a receiver's data: a list with methods."""

    def template_field(self, name: str) -> Any:
        return {"Firing": lambda: [{"Labels": {"a": "1"}}, {"Labels": {"a": "2"}}], "Count": 2}[name]


@pytest.mark.parametrize(
    ("text", "data", "printed"),
    [
        ("plain {", None, "plain {"),
        ("{{ . }}", "x", "x"),
        ("a {{- 1 -}} b", None, "a1b"),
        ("a {{/* gone */}} b {{- /* gone too */ -}} c", None, "a  bc"),
        ("{{ .Labels.a }}|{{ .Labels.none }}|", {"Labels": {"a": "x"}}, "x||"),
        ("{{ .None }}", {"A": 1}, "<no value>"),
        ("{{ `raw` | toUpper | printf `%s-%d` }}", None, "RAW-%!d(MISSING)"),
        ("{{ printf `%s-%d` `x` 3 }}", None, "x-3"),
        ("{{ if .a }}A{{ else if .b }}B{{ else }}C{{ end }}", {"a": "", "b": 1}, "B"),
        ("{{ with .a }}{{ . }}{{ else }}none{{ end }}", {"a": []}, "none"),
        ("{{ range . }}{{ . }},{{ else }}none{{ end }}", [1, 2], "1,2,"),
        ("{{ range . }}x{{ else }}none{{ end }}", [], "none"),
        ("{{ range $k, $v := . }}{{ $k }}={{ $v }};{{ end }}", {"b": "2", "a": "1"}, "a=1;b=2;"),
        (
            "{{ range . }}{{ if eq . 2 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}",
            [1, 2, 3, 4, 5],
            "13",
        ),
        ("{{ range $i := 3 }}{{ $i }}{{ end }}", None, "012"),
        ("{{ $x := 1 }}{{ range . }}{{ $x = . }}{{ end }}{{ $x }}", [7, 8], "8"),
        ("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", None, "21"),
        ('{{ define "t" }}<{{ . }}>{{ end }}{{ template "t" 5 }}', None, "<5>"),
        ('{{ block "t" 5 }}<{{ . }}>{{ end }}', None, "<5>"),
        ("{{ range .Firing }}{{ .Labels.a }}{{ end }} {{ len .Firing }} {{ .Count }}", Alerts(), "12 2 2"),
        ("{{ (index . 1).a }}", [{"a": "x"}, {"a": "y"}], "y"),
        ("{{ and 1 0 }} {{ or 0 `` 3 }} {{ not 1 }}", None, "0 3 false"),
        ("{{ eq 1 2 1 }} {{ ne `a` `b` }} {{ lt 1.5 2.5 }} {{ ge 2 2 }}", None, "true true true true"),
        ("{{ print 1 2 `a` 3 }}", None, "1 2a3"),
        ("{{ . }}", {"b": [1, "x"], "a": 1.5}, "map[a:1.5 b:[1 x]]"),
        ("{{ true }} {{ 0x10 }} {{ 1e3 }} {{ -2.50 }} {{ 'a' }}", None, "true 16 1000 -2.5 97"),
        ('{{ "a\\tb\\u00e9\\x41" }}', None, "a\tbéA"),
        ("{{ html `<a>` }} {{ urlquery `a b` }}", None, "&lt;a&gt; a+b"),
    ],
)
def test_templates_print_what_go_prints(text: str, data: Any, printed: str) -> None:
    assert run(text, data) == printed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nope }}", "line 1 column 4: function 'nope' not defined"),
        ("a\n{{ $x }}", "line 2 column 4: undefined variable '$x'"),
        ("{{ if true }}x", "line 1 column 4: {{if}} without {{end}}"),
        ("{{ end }}", "unexpected {{end}}"),
        ("{{", "unclosed action"),
        ("{{ }}", "missing value"),
        ("{{ /* x }}", "unclosed comment"),
        ("{{ break }}", "outside {{range}}"),
        ("{{ ( 1 }}", "unclosed left paren"),
        ("{{ 1 2 }}", "not a function"),
        ("{{ . | 1 }}", "cannot take a piped value"),
        ("{{ template }}", "needs a name"),
        ("{{ if true }}{{ define `x` }}{{ end }}{{ end }}", "{{define}} inside"),
        ("{{ ` }}", "unexpected '`'"),
        ("{{ `a` ! }}", "unexpected '!'"),
    ],
)
def test_what_is_not_a_template_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compile_template(text, FUNCTIONS)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ .a.b }}", "can't evaluate field b"),
        ("{{ eq 1 `a` }}", "incompatible types"),
        ("{{ toUpper 1 }}", "error calling toUpper"),
        ("{{ template `x` }}", "template 'x' not defined"),
        ("{{ index . 5 }}", "can't index"),
        ("{{ range `abc` }}{{ end }}", "can't iterate"),
        ("{{ define `x` }}{{ template `x` }}{{ end }}{{ template `x` }}", "too deeply"),
        ("{{ range $i := 100000000 }}{{ end }}", "too much work"),
        ("{{ range $i := 1000 }}{{ range $j := 1000 }}x{{ end }}{{ end }}", "too much work"),
        ("{{ printf `%099999d` 1 }}", "too large"),
    ],
)
def test_what_goes_wrong_while_it_runs_is_an_error_not_a_hang(text: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        run(text, {"a": "text"})
    assert message in str(caught.value)


def test_the_output_is_limited() -> None:
    template = compile_template("{{ range . }}{{ . }}{{ end }}", FUNCTIONS)
    with pytest.raises(TemplateError, match="writes too much"):
        template.run(["x" * 1000] * 100, limits=Limits(output=5000))


def test_a_library_of_definitions_is_shared() -> None:
    template = compile_template(
        '{{ template "subject" . }}', FUNCTIONS, library={"a.tmpl": '{{ define "subject" }}S {{ . }}{{ end }}'}
    )
    assert template.run("x") == "S x"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from(list('{}-. $x|()"`if end range1:=,/*\n')), max_size=60))
def test_any_text_is_read_or_refused_never_more(text: str) -> None:
    try:
        run(text, {"x": 1})
    except TemplateError:
        pass


@pytest.mark.parametrize(
    ("value", "verb", "precision", "printed"),
    [
        (1_000_000.0, "g", -1, "1e+06"),
        (123_456.0, "g", -1, "123456"),
        (0.00001, "g", -1, "1e-05"),
        (float("nan"), "g", -1, "NaN"),
        (float("-inf"), "f", 2, "-Inf"),
        (0.0, "e", -1, "0e+00"),
        (1234.5, "e", -1, "1.2345e+03"),
        (2.0, "f", -1, "2"),
        (1234567.0, "g", 4, "1.235e+06"),
    ],
)
def test_floats_are_printed_as_go_prints_them(value: float, verb: str, precision: int, printed: str) -> None:
    assert format_float(value, verb, precision) == printed


def test_printf_marks_wrong_verbs_as_go_does() -> None:
    assert sprintf("%d %s", ["x", 1.5]) == "%!d(string=x) %!s(float64=1.5)"
    assert sprintf("%v", []) == "%!v(MISSING)"
    assert sprintf("x", [1]) == "x%!(EXTRA int=1)"


@pytest.mark.parametrize(
    "source", ["{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "{{if true}}" * 5000, "{{if true}}" + "{{else if true}}" * 5000]
)
def test_nesting_without_end_is_refused(source: str) -> None:
    with pytest.raises(TemplateError, match="too deeply nested"):
        parse_template(source, frozenset())
