"""Interned strings: label values as small numbers."""

from __future__ import annotations


class Symbols:
    """Text <-> number; number 0 is the empty string. Numbers are never reused while the process lives."""

    __slots__ = ("_numbers", "texts")

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts: list[str] = texts if texts is not None else [""]
        self._numbers: dict[str, int] = {text: number for number, text in enumerate(self.texts)}

    def intern(self, text: str) -> int:
        number = self._numbers.get(text)
        if number is None:
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number

    def find(self, text: str) -> int:
        """The number of `text`, -1 when nobody has it."""
        return self._numbers.get(text, -1)

    def __len__(self) -> int:
        return len(self.texts)
