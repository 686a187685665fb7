"""SMS text: GSM-7, one segment of 160 characters where possible. One character outside it would halve the room to 70."""

from __future__ import annotations

import unicodedata

from tocsin.model.notification import Message

SEGMENT = 160
_BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = set("^{}\\[~]|€")
_LOOKALIKES = {
    "’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "•": "*", "·": ".", "×": "x", "→": "->",
    "≥": ">=", "≤": "<=", "µ": "u", "`": "'", "\t": " ", "\u00a0": " ", "ª": "a", "º": "o",
}  # fmt: skip
_SHORT = {"critical": "CRIT", "warning": "WARN", "info": "INFO"}


def to_gsm(text: str) -> str:
    """The text in GSM-7 characters: look-alikes for what has one, accents dropped, `?` for the rest."""
    return "".join(_one(char) for char in unicodedata.normalize("NFC", text))


def _one(char: str) -> str:
    if char in _BASIC or char in _EXTENDED:
        return char
    if char in _LOOKALIKES:
        return _LOOKALIKES[char]
    bare = "".join(c for c in unicodedata.normalize("NFKD", char) if c in _BASIC)
    return bare or "?"


def septets(text: str) -> int:
    """Length as the network counts: characters of the extension table take two."""
    return sum(2 if char in _EXTENDED else 1 for char in text)


def sms_text(message: Message) -> str:
    """One segment: what, where, how to answer, and the link when it fits."""
    number = message.notification.incident
    others = len(message.notification.payload.get("together", ()))
    more = f" +{others} more" if others else ""
    if not number:
        return _shorten(to_gsm(f"TOCSIN {message.title}"), SEGMENT)
    if message.state == "resolved":
        return _shorten(to_gsm(f"TOCSIN resolved #{number}{more}: {' '.join(message.title.split())}"), SEGMENT)
    word = _SHORT.get(message.severity, message.severity.upper()[:8])
    repeat = " (repeat?)" if message.possible_repeat else ""
    answer = f"\nAck: reply A{number}, escalate E{number}"
    head = to_gsm(f"TOCSIN {word} ".replace("  ", " "))
    tail = to_gsm(f" #{number}{more}{repeat}{answer}")
    link = to_gsm(f"\n{message.incident_url}") if message.incident_url else ""
    title = to_gsm(" ".join(message.title.split()))
    room = SEGMENT - septets(head) - septets(tail)
    if septets(title) <= room - septets(link):
        return head + title + tail + link
    return head + _shorten(title, room) + tail


def _shorten(text: str, room: int) -> str:
    """Cut in the middle: the beginning names the service, the end the figure."""
    if septets(text) <= room:
        return text
    front, back = text[: len(text) // 2], text[len(text) // 2 :]
    while septets(front) + septets(back) + 2 > room and (front or back):
        if len(front) >= len(back):
            front = front[:-1]
        else:
            back = back[1:]
    return f"{front}..{back}"
