"""Worlds in which two receivers hear of every alert: one with people, and a chat. Their groups are one incident."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.fakes.virtual import run_virtual
from tests.simulation.invariants import judge
from tests.simulation.outside import HOOK
from tests.simulation.world import World

from tocsin.errors import Place
from tocsin.model.route import Destination, Receiver, Route, Routing

CHAT = "chat.example"


class TwoReceivers(World):
    """The chat's group comes first, at the same time or last, by the seed; its `group_interval` is the other's or longer."""

    def _people(self) -> Any:
        made = super()._people()
        places = (Destination("webhook", {"url": f"https://{CHAT}/in"}),)
        return replace(made, receivers={**made.receivers, "chat": Receiver("chat", places, "", Place("tocsin.yaml", 1))})

    def _apply(self, group_interval_ms: int, groups: Any) -> None:
        super()._apply(group_interval_ms, groups)
        root = self.dispatcher.routing.root
        wait_ms = (1_000, root.group_wait_ms, 12_000)[self.seed % 3]
        interval_ms = root.group_interval_ms + (15_000 if self.seed % 2 else 0)
        chat = Route(
            "chat", "chat", (), continue_=True, group_by=root.group_by, group_wait_ms=wait_ms, group_interval_ms=interval_ms
        )
        web = replace(root, id="web")
        root = replace(root, routes=(replace(chat, repeat_interval_ms=root.repeat_interval_ms), web))
        self.dispatcher.apply(Routing(root, self.receivers))

    def receiver_view(self, at: str = "") -> set[str]:
        """In the calm what both know to be firing, in the end what either believes."""
        both = [super(TwoReceivers, self).receiver_view(host) for host in (HOOK, CHAT)]
        return both[0] | both[1] if self.recovered else both[0] & both[1]


def live_with_two(seed: int) -> list[str]:
    """One such world from birth to judgement: every breach."""
    world = TwoReceivers(seed)
    try:
        run_virtual(world.run())
    except AssertionError as error:
        return [f"assertion: {error}"]
    return judge(world)
