"""A page works in a real browser: declared steps, one after the other."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from typing import Any, Self

import orjson
from pydantic import Field, model_validator

from tocsin.collect.check import Check, check
from tocsin.collect.command import run_command
from tocsin.collect.egress_proxy import egress_proxy
from tocsin.collect.fields import DurationMs, HttpUrl, LatencyMs, Part
from tocsin.collect.io import Io
from tocsin.collect.outcome import Outcome, Sample, degraded, failed, passed, unsupported
from tocsin.model.check import CheckReason, Phase
from tocsin.model.duration import format_duration

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MOST_STEPS = 50
_MOST_ANSWER = 1 << 20
_REASONS = {
    "dns": CheckReason.DNS,
    "refused": CheckReason.REFUSED,
    "tls": CheckReason.TLS,
    "unreachable": CheckReason.UNREACHABLE,
    "status": CheckReason.STATUS,
    "body": CheckReason.BODY,
    "timeout": CheckReason.TIMEOUT,
}


class BrowserStep(Part):
    """One thing to do; exactly one key."""

    goto: HttpUrl | None = None
    fill: dict[str, str] = Field({}, repr=False, description="CSS selector -> text to type; texts are never shown")
    click: str = ""
    press: str = Field("", description="key, such as Enter")
    wait: str = Field("", description="CSS selector that must become visible")
    expect: str = Field("", description="text that the page must show")
    expect_in: dict[str, str] = Field({}, description="CSS selector -> text that it must show")
    screenshot: bool = False

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"expected one of {', '.join(BrowserStep.model_fields)} in each step")
        return self

    def job(self) -> dict[str, Any]:
        """What the child is told; `text` is how people read the step."""
        (action,) = self.model_fields_set
        value = getattr(self, action)
        shown = ", ".join(value) if isinstance(value, dict) else str(value)
        return {"action": action, "value": value, "text": f"{action} {shown}"[:200]}


class BrowserExpect(Part):
    """What must hold for all steps together."""

    latency: LatencyMs = Field(0, description="slower than this is degraded, such as < 5s")


@check("browser")
class Browser(Check):
    """A page works in Chromium: open it, fill in, click, and see the expected texts. A picture of the page is kept on failure.

    Needs the extra `browser` and a Chromium on the machine of the probe. Every connection of the browser goes through the same
    egress rules as other checks. Steps: goto, fill, click, press, wait, expect, expect_in, screenshot.
    """

    example = (
        '{name: sign in, browser: {url: https://shop.example/, steps: [{fill: {"#user": ana}}, {click: "#go"}, {expect: Hello}]}}'
    )
    evidence = "url, title, steps with their times, console_errors, failed_requests, refused; a screenshot (JPEG) of a failure"

    light = False
    default_every_ms = 300_000
    default_timeout_ms = 30_000

    url: HttpUrl = Field(description="page to open first")
    steps: tuple[BrowserStep, ...] = Field((), max_length=_MOST_STEPS, description="what to do then, in order; one key each")
    step_timeout: DurationMs = Field(10_000, ge=100, description="longest time of one step, within the check's own timeout")
    expect: BrowserExpect = BrowserExpect()
    tls_verify: bool = True
    width: int = Field(1280, ge=200, le=4000)
    height: int = Field(720, ge=200, le=4000)
    user_agent: str = ""
    executable_path: str = Field("", description="Chromium to run; default the first one found")

    @classmethod
    def short_form(cls, value: Any) -> dict[str, Any]:
        return {"url": value}

    @property
    def target(self) -> str:
        return self.url.partition("?")[0]

    async def run(self, io: Io) -> Outcome:
        if find_spec("playwright") is None:
            return unsupported("the browser check needs playwright, which is not installed: pip install 'tocsin[browser]'")
        executable = self.executable_path or next((path for name in _BROWSERS if (path := shutil.which(name))), "")
        if not executable:
            return unsupported("no Chromium is installed here: install one, or name it by executable_path")
        start_s = io.monotonic_s()
        try:
            async with asyncio.timeout(io.timeout_s / 2):
                await io.network.browsers.acquire()
        except TimeoutError:
            return unsupported("other browser checks were running here all the time: run them less often or elsewhere")
        try:
            return await self._drive(io, executable, start_s)
        finally:
            io.network.browsers.release()

    async def _drive(self, io: Io, executable: str, start_s: float) -> Outcome:
        # Chromium leaves its profile behind when it is killed: its folder goes with the run.
        with tempfile.TemporaryDirectory(prefix="tocsin-browser-", ignore_cleanup_errors=True) as folder:
            async with egress_proxy(io.network) as (port, refusals):
                io.trace.doing = "driving the browser"
                words = (sys.executable, "-m", "tocsin.collect.browser_child")
                environment = {"TMPDIR": folder, "HOME": folder, "PYTHONPATH": os.pathsep.join(sys.path)}
                job = orjson.dumps(self._job(executable, port, start_s + io.timeout_s))
                code, text = await run_command(words, environment=environment, given=job, most_output=_MOST_ANSWER)
        return self._judge(io, code, text, refusals)

    def _job(self, executable: str, port: int, deadline_s: float) -> dict[str, Any]:
        return {
            "executable": executable,
            "proxy_port": port,
            # Chromium's own sandbox needs namespaces that root cannot give it.
            "sandbox": os.geteuid() != 0,
            "width": self.width,
            "height": self.height,
            "tls_verify": self.tls_verify,
            "user_agent": self.user_agent,
            # By the monotonic clock, which all processes share. The child gives up first: a killed one has no picture to show.
            "deadline_s": deadline_s,
            "step_ms": self.step_timeout,
            "steps": [BrowserStep(goto=self.url).job(), *(step.job() for step in self.steps)],
        }

    def _judge(self, io: Io, code: int, text: str, refusals: list[str]) -> Outcome:
        try:
            seen = orjson.loads(text)
        except orjson.JSONDecodeError:
            return unsupported(f"the browser could not be driven (exit code {code}): {text.strip()[-300:]}")
        if not seen["started"]:
            return unsupported(f"the browser could not be started: {seen['problem']}")
        facts = {key: seen[key] for key in ("url", "title", "steps", "console_errors", "failed_requests")} | {"refused": refusals}
        if seen["screenshot"]:
            facts["screenshot"] = f"data:image/jpeg;base64,{seen['screenshot']}"
        samples = self._samples(seen["steps"])
        for number, step in enumerate(seen["steps"], 1):
            io.trace.phases.append(Phase(f"{number} {step['step'].partition(' ')[0]}", step["ms"]))
        if seen["problem"]:
            last = seen["steps"][-1]["step"]
            if refusals:
                return failed(CheckReason.FORBIDDEN_TARGET, f"step {len(seen['steps'])}, {last}: {refusals[0]}", facts, samples)
            reason = _REASONS.get(seen["kind"], CheckReason.UNEXPECTED_ANSWER)
            return failed(reason, f"step {len(seen['steps'])}, {last}: {seen['problem']}", facts, samples)
        duration_ms = sum(step["ms"] for step in seen["steps"])  # not our own start of the browser
        said = f"{len(seen['steps'])} steps in {duration_ms:.0f} ms"
        if self.expect.latency and duration_ms > self.expect.latency:
            return degraded(CheckReason.SLOW, f"{said}, slower than {format_duration(self.expect.latency)}", facts, samples)
        return passed(said, facts, samples)

    def _samples(self, steps: list[dict[str, Any]]) -> tuple[Sample, ...]:
        named = ((f"{number} {step['step'].partition(' ')[0]}", step["ms"]) for number, step in enumerate(steps, 1))
        return tuple(("probe_browser_step_duration_seconds", {"step": name}, ms / 1000) for name, ms in named)
