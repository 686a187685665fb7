"""A status page as HTML without script; the same text is served and exported, only its links differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from urllib.parse import urlsplit

from tocsin.incidents.publish import Story, Update
from tocsin.incidents.webhooks import LONGEST
from tocsin.model.check import CheckState
from tocsin.web.html import page, safe_href
from tocsin.web.statuspage_view import DAY_MS, DAYS, Component, Planned, View

_WORDS = {
    CheckState.UP: "Operational",
    CheckState.DEGRADED: "Degraded",
    CheckState.DOWN: "Down",
    CheckState.UNKNOWN: "Unknown",
    CheckState.PAUSED: "Maintenance",
    CheckState.PENDING: "Unknown",
}
_CLASSES = {"u": "up", "g": "degraded", "d": "down", "k": "unknown", "p": "unknown", "-": "none"}
_LETTERS = {"u": "operational", "g": "degraded", "d": "down", "k": "unknown", "p": "maintenance", "-": "no data"}
_SAID = {"operational": "operational", "degraded": "degraded", "down": "down", "maintenance": "in maintenance"}
# Said in the page too: a copy on another web server keeps it without that server's help.
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action "


@dataclass(frozen=True, slots=True)
class Places:
    """Where the page's files are, as links from the page."""

    stylesheet: str
    feed: str
    json: str
    subscribe: str = ""
    """Where the forms for mails and webhooks go; empty = there is none (a copy elsewhere has nobody who could take it)."""


BESIDE = Places("pages.css", "feed.atom", "status.json")
"""Of a static copy: all in one folder."""


def served_at(slug: str, prefix: str) -> Places:
    base = f"{prefix}/status/{slug}"
    return Places(f"{prefix}/static/pages.css", f"{base}/feed.atom", f"{base}/status.json", f"{base}/subscribe")


def render(view: View, places: Places) -> str:
    """The whole page; strips are drawn as SVG and told in words."""
    running = [one for one in view.planned if one.start_ms <= view.now_ms]
    coming = [one for one in view.planned if one.start_ms > view.now_ms]
    open_ones = [story for story in view.stories if story.open]
    ended = [story for story in view.stories if not story.open]
    said = headline(view.components, stale=view.stale, stories=view.stories)
    body = [
        f'<p class="overall state {_overall(view)}">{escape(said)}</p>',
        _section("Now", [*map(_story, open_ones), *(_work(one, "In progress") for one in running)]),
        f'<h2>Components</h2><ul class="components">{"".join(_item(one, view.now_ms) for one in view.components)}</ul>',
        _section("Planned maintenance", [_work(one, "Planned") for one in coming]),
        _section("The last 14 days", [_story(story) for story in ended]),
        f'<p><a href="{escape(places.feed)}">Atom feed of updates</a> <a href="{escape(places.json)}">JSON</a></p>',
    ]
    follow = _follow(view, places.subscribe) if places.subscribe else ""
    body.append(follow)
    target = "'self'" if follow else "'none'"
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY + target)}">'
        f'<link rel="alternate" type="application/atom+xml" title="{escape(view.title)}" href="{escape(places.feed)}">'
    )
    note = f"As of {stamp(view.now_ms)}."
    if view.stale and view.heard_ms:
        age_s = (view.now_ms - view.heard_ms) // 1000
        body.insert(1, f"<p>Data {age_s} s old: our monitoring was last heard of at {stamp(view.heard_ms)}.</p>")
    return page(view.title, body="".join(body), note=note, head=head, stylesheet=places.stylesheet, brand=False, top=_brand(view))


def _brand(view: View) -> str:
    """Bar, logo and the way to the owner's site. An attribute of an SVG is no inline style: the policy of the page stands."""
    brand, parts = view.brand, []
    if brand.colour:
        parts.append(
            '<svg class="bar" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect width="100" height="1" fill="{escape(brand.colour)}"></rect></svg>'
        )
    logo = f'<img src="{escape(brand.logo)}" alt="{"" if brand.link else escape(view.title)}" height="40">' if brand.logo else ""
    if brand.link:
        host = urlsplit(brand.link).hostname or brand.link
        parts.append(f'<p class="owner"><a href="{safe_href(brand.link)}">{logo} {escape(host)}</a></p>')
    elif logo:
        parts.append(f'<p class="owner">{logo}</p>')
    return "".join(parts)


def headline(components: Sequence[Component], *, stale: bool, stories: Iterable[Story] = ()) -> str:
    if stale:
        return "Our monitoring is not reporting at the moment: the state below may be old."
    bad = [component.name for component in components if component.state in (CheckState.DOWN, CheckState.DEGRADED)]
    if bad:
        return f"Affected: {', '.join(bad)}."
    if any(story.open for story in stories):
        return "There is an incident."
    unknown = [component.name for component in components if component.state in (CheckState.UNKNOWN, CheckState.PENDING)]
    if unknown:
        return f"Not known at the moment: {', '.join(unknown)}."
    return "All systems are operational." if components else "Nothing is listed here."


def _overall(view: View) -> str:
    """The look of the headline: that of the worst component; an incident that no component shows is a warning."""
    states = {component.state for component in view.components}
    if view.stale:
        return CheckState.UNKNOWN.value
    for state in (CheckState.DOWN, CheckState.DEGRADED):
        if state in states:
            return state.value
    if any(story.open for story in view.stories):
        return CheckState.DEGRADED.value
    known = states and not states & {CheckState.UNKNOWN, CheckState.PENDING}
    return (CheckState.UP if known else CheckState.UNKNOWN).value


def stamp(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _section(heading: str, items: Sequence[str]) -> str:
    return f"<h2>{escape(heading)}</h2>{''.join(items)}" if items else ""


def _story(story: Story) -> str:
    updates = "".join(map(_update, story.updates))
    looks = "story" if story.open else "story over"
    return f'<article class="{looks}"><h3 dir="auto">{escape(story.title)}</h3><ol class="updates">{updates}</ol></article>'


def _follow(view: View, action: str) -> str:
    """Forms that need no script: an address, and a button."""
    return (_by_mail(action) if view.mails else "") + (_by_hook(action) if view.webhooks else "")


def _by_hook(action: str) -> str:
    return (
        '<h2 id="webhook">Updates by webhook</h2>'
        f'<form method="post" action="{escape(action)}"><label for="url">Address of your webhook</label>'
        f'<input id="url" name="webhook" type="url" maxlength="{LONGEST}" required>'
        "<button>Post updates there</button></form>"
        '<p class="note">We post a link to confirm it first, and a secret that signs what follows. '
        "Everything we post is JSON and has a link to stop.</p>"
    )


def _by_mail(action: str) -> str:
    return (
        f'<h2 id="subscribe">Updates by mail</h2><form method="post" action="{escape(action)}">'
        '<label for="address">Your mail address</label>'
        '<input id="address" name="address" type="email" maxlength="254" autocomplete="email" required>'
        "<button>Send me updates</button></form>"
        '<p class="note">We send a link to confirm it first. Every mail has a link to stop.</p>'
    )


def _update(update: Update) -> str:
    paragraphs = "".join(f'<p dir="auto">{escape(line)}</p>' for line in update.text.splitlines() if line.strip())
    paragraphs += "".join(f"<p>{escape(name)}: {_SAID[word]}</p>" for name, word in update.components.items())
    when = f'<time datetime="{iso(update.t_ms)}">{stamp(update.t_ms)}</time>'
    if update.edited_ms:
        when += f' <time datetime="{iso(update.edited_ms)}">edited {stamp(update.edited_ms)}</time>'
    return f'<li id="update-{update.id}"><strong>{escape(update.state.capitalize())}</strong> {when}{paragraphs}</li>'


def _work(one: Planned, word: str) -> str:
    start, end = (f'<time datetime="{iso(t_ms)}">{stamp(t_ms)}</time>' for t_ms in (one.start_ms, one.end_ms))
    text = f'<p dir="auto">{escape(one.text)}</p>' if one.text else ""
    return (
        f'<article class="story work"><h3 dir="auto">{word}: {escape(", ".join(one.components))}</h3>'
        f"{text}<p>{start} to {end}</p></article>"
    )


def iso(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _item(component: Component, now_ms: int) -> str:
    word = _WORDS[component.state]
    known = sum(letter != "-" for letter in component.days)
    days = f"{known} day{'s' if known > 1 else ''}"
    share = f"{component.uptime * 100:.2f} % up in {days}" if component.uptime is not None else "no history yet"
    said = [day_words(component, index) for index in range(len(component.days))]
    bars = "".join(
        f'<rect class="{_CLASSES[letter]}" x="{index * 10}" y="0" width="8" height="30">'
        f"{_hover(said[index], index, now_ms)}</rect>"
        for index, letter in enumerate(component.days)
    )
    told = "".join(f"<li>{escape(text)}</li>" for text in day_by_day(said, now_ms))
    story = f"<details><summary>Day by day</summary><ul>{told}</ul></details>" if told else ""
    return (
        f'<li><span class="state {component.state.value}">{word}</span><strong>{escape(component.name)}</strong><br>{share}'
        f'<svg class="strip" viewBox="0 0 {DAYS * 10} 30" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(share)}">{bars}</svg>'
        f'<span class="ends"><span>{DAYS} days ago</span><span>today</span></span>{story}</li>'
    )


def day_words(component: Component, index: int) -> str:
    """What one day was: `down for 12 min`; of no data nothing."""
    letter = component.days[index]
    minutes = -(-component.down_ms[index] // 60_000) if index < len(component.down_ms) else 0
    if letter == "d" and minutes:
        return f"down for {minutes} min" if minutes < 120 else f"down for {minutes // 60} h {minutes % 60:02} min"
    return _LETTERS[letter] if letter != "-" else ""


def day_by_day(said: Sequence[str], now_ms: int) -> list[str]:
    """The whole strip in words, newest first, days alike told together; what is not known is left out.

    `2023-11-14: down for 12 min`, `2023-08-17 to 2023-11-13: operational`
    """
    out: list[str] = []
    last = len(said) - 1
    while last >= 0:
        first = last
        while first > 0 and said[first - 1] == said[last]:
            first -= 1
        if said[last]:
            days = _date(last, now_ms) if first == last else f"{_date(first, now_ms)} to {_date(last, now_ms)}"
            out.append(f"{days}: {said[last]}")
        last = first - 1
    return out


def _hover(words: str, index: int, now_ms: int) -> str:
    return f"<title>{_date(index, now_ms)}: {escape(words)}</title>" if words else ""


def _date(index: int, now_ms: int) -> str:
    return datetime.fromtimestamp((now_ms - (DAYS - 1 - index) * DAY_MS) / 1000, UTC).strftime("%Y-%m-%d")
