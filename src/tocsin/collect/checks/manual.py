"""A status that a person sets, with a reason."""

from __future__ import annotations

from pydantic import Field

from tocsin.collect.check import Check, check
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, unsupported


@check("manual")
class Manual(Check):
    """Its state is what a person last said, such as for a supplier that cannot be probed."""

    example = "{name: the office, manual: {}}"
    evidence = "who set it, and why"

    passive = True

    about: str = Field("", description="what the status is about")

    @classmethod
    def short_form(cls, value: object) -> dict[str, object]:
        return {"about": "" if value is None else value}

    @property
    def target(self) -> str:
        return self.about or "set by a person"

    async def run(self, io: Io) -> Outcome:
        return unsupported("a manual check is set by a person, not run")
