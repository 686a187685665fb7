"""`tocsin backtest` and `tocsin plan`: what rules would have done, before they are merged."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tocsin.cli.core import print_json
from tocsin.cli.main import config_option, data_dir_option, json_option
from tocsin.clock import SystemClock
from tocsin.errors import ConfigError, UsageError
from tocsin.heap import keep_pages
from tocsin.model.duration import format_duration, parse_duration_ms
from tocsin.model.rule import AlertRule, RuleGroup

if TYPE_CHECKING:
    from tocsin.backtest.trial import Difference, Trial
    from tocsin.config.config import Config
    from tocsin.model.ports import Queryable, SampleReader

_SHOWN = 20
Source = tuple["SampleReader | None", "Queryable | None"]

_since = click.option("--since", default="30d", show_default=True, help="How far back, or an instant such as 2026-10-01T00:00Z.")
_until = click.option("--until", default="", help="The end, an instant; now when left out.")
_prometheus = click.option(
    "--prometheus", "url", default="", help="Read history from this Prometheus instead of the data directory."
)
_zone = click.option("--zone", default="UTC", show_default=True, help="Time zone that says when it is night (22:00 to 07:00).")
_ack = click.option("--ack-after", default="5m", show_default=True, help="How soon whoever is paged answers; 0s = nobody does.")
_fail = click.option("--fail-if", "conditions", multiple=True, help="Exit with 1 when it holds, e.g. 'pages_per_week>2'.")
_only = click.option("--rule", "names", multiple=True, help="Only this alert; may be repeated.")


def _trial_options(function: Any) -> Any:
    """What both commands take: the history, the rules, who answers when, and what fails."""
    for option in (json_option, data_dir_option, config_option, _fail, _ack, _zone, _prometheus, _only, _until, _since):
        function = option(function)
    return function


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_trial_options
def backtest(
    files: tuple[Path, ...],
    since: str,
    until: str,
    names: tuple[str, ...],
    url: str,
    zone: str,
    ack_after: str,
    conditions: tuple[str, ...],
    config_paths: tuple[Path, ...],
    data_dir: Path,
    as_json: bool,
) -> None:
    """Replay rule files (or the rules of the configuration) over stored history.

    Says what would have fired, when, for how long, and who would have been paged by the configuration's routes, policies and
    schedules. The rules are evaluated by the code that evaluates them live.
    """
    from tocsin.backtest.trial import as_json as trial_json
    from tocsin.backtest.trial import condition
    from tocsin.cli.config import load

    tests = [(text, condition(text)) for text in conditions]
    config = load(config_paths)
    groups = _groups_of(files) if files else list(config.rule_groups)
    trial = _try(config, groups, _source(url, data_dir), _span(since, until), names, zone, ack_after, quiet=as_json)
    failed = [text for text, holds in tests if holds(trial)]
    if as_json:
        print_json({**trial_json(trial), "failed": failed})
    else:
        _show(trial)
        for text in failed:
            click.echo(f"failed: {text}", err=True)
    sys.exit(1 if failed or trial.replay.errors else 0)


@click.command()
@_trial_options
def plan(
    since: str,
    until: str,
    names: tuple[str, ...],
    url: str,
    zone: str,
    ack_after: str,
    conditions: tuple[str, ...],
    config_paths: tuple[Path, ...],
    data_dir: Path,
    as_json: bool,
) -> None:
    """Compare the configuration files with the configuration in force: which pages would come, which would go.

    Both are replayed over the same history, rules and everything behind them. --fail-if judges the new one.
    """
    from tocsin.backtest.trial import compare, condition, firing_json
    from tocsin.cli.config import load

    tests = [(text, condition(text)) for text in conditions]
    old, new = _in_force(data_dir), load(config_paths)
    source, span = _source(url, data_dir), _span(since, until)
    before = _try(old, list(old.rule_groups), source, span, names, zone, ack_after, quiet=as_json)
    after = _try(new, list(new.rule_groups), source, span, names, zone, ack_after, quiet=as_json)
    difference = compare(before, after)
    failed = [text for text, holds in tests if holds(after)]
    if as_json:
        print_json(
            {
                "before": before.figures,
                "after": after.figures,
                "only_before": [firing_json(firing) for firing in difference.only_before],
                "only_after": [firing_json(firing) for firing in difference.only_after],
                "errors": after.replay.errors,
                "failed": failed,
            }
        )
    else:
        _show_difference(difference)
        for text in failed:
            click.echo(f"failed: {text}", err=True)
    sys.exit(1 if failed or after.replay.errors else 0)


# -- what to try ---------------------------------------------------------------------------------------------------------


def _groups_of(files: Sequence[Path]) -> list[RuleGroup]:
    """The groups of these files. Raises ConfigError with every problem."""
    from tocsin.rules.rulefile import parse_rule_file

    groups: list[RuleGroup] = []
    problems = []
    for path in files:
        found, wrong = parse_rule_file(path.read_text(), str(path))
        groups += found
        problems += [problem for problem in wrong if not problem.warning]
    if problems:
        raise ConfigError(*problems)
    return groups


def _in_force(data_dir: Path) -> Config:
    from tocsin.app.preflight import LAST_GOOD
    from tocsin.config.load import build
    from tocsin.config.sources import Sources

    path = data_dir / LAST_GOOD
    if not path.exists():
        raise UsageError(f"no configuration was ever in force in {data_dir}; give --data-dir")
    return build(Sources.from_json(path.read_bytes()))


def _source(url: str, data_dir: Path) -> Source:
    """Where history is read: our own store (beside a running server or without one), or a Prometheus."""
    if url:
        from tocsin.remote.read import RemoteQueryable, RemoteSource

        return None, RemoteQueryable(RemoteSource(url.rstrip("/")))
    from tocsin.tsdb.follower import Follower

    if not (data_dir / "store").exists():
        raise UsageError(f"there is no store in {data_dir}; give --data-dir, or --prometheus URL")
    follower = Follower(path=data_dir / "store", clock=SystemClock())
    follower.open()
    return follower, None


def _span(since: str, until: str) -> tuple[int, int]:
    end_ms = _instant(until) if until else SystemClock().now_ms()
    try:
        start_ms = end_ms - parse_duration_ms(since)
    except ValueError:
        start_ms = _instant(since)
    if start_ms >= end_ms:
        raise UsageError("--since must be before --until")
    return start_ms, end_ms


def _instant(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is neither a duration such as 30d nor an instant such as 2026-10-01T00:00Z") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def _try(
    config: Config,
    groups: list[RuleGroup],
    source: Source,
    span: tuple[int, int],
    names: Sequence[str],
    zone: str,
    ack_after: str,
    *,
    quiet: bool,
) -> Trial:
    from tocsin.backtest.replay import Replayer
    from tocsin.backtest.trial import try_out
    from tocsin.promql.engine import Engine, EngineOptions

    keep_pages()
    known = {rule.name for group in groups for rule in group.rules if isinstance(rule, AlertRule)}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no alert {name!r}; there are {', '.join(sorted(known)) or 'none'}")
    reader, queryable = source
    options = EngineOptions(features=frozenset(config.features))
    replayer = Replayer(
        [replace(group, interval_ms=group.interval_ms or config.evaluation_interval_ms) for group in groups],
        start_ms=span[0],
        end_ms=span[1],
        reader=reader,
        build=lambda over: Engine(over, options),
        queryable=queryable,
        only=lambda rule: not names or rule.name in names,
    )
    replay = replayer.run(_progress(span, quiet=quiet))
    return try_out(replay, config.routing, config.directory, zone=zone, ack_after_ms=parse_duration_ms(ack_after))


def _progress(span: tuple[int, int], *, quiet: bool) -> Callable[[int], None]:
    if quiet or not sys.stderr.isatty():
        return lambda t_ms: None

    def tell(t_ms: int) -> None:
        share = (t_ms - span[0]) / (span[1] - span[0])
        click.echo(f"\r{max(0.0, share):4.0%}\r", err=True, nl=False)

    return tell


# -- what came of it -----------------------------------------------------------------------------------------------------


def _show(trial: Trial) -> None:
    replay, pages = trial.replay, trial.pages
    click.echo(f"{_time(replay.start_ms)} to {_time(replay.end_ms)}, {replay.evaluations} evaluations")
    if trial.rules:
        click.echo(
            f"\n{'alert':<36} {'fired':>6} {'a week':>7} {'night':>6} {'<5m':>5} {'again':>6} {'median':>8} {'longest':>8}"
        )
    for rule in trial.rules:
        click.echo(
            f"{rule.name:<36} {rule.firings:>6} {rule.per_week:>7.1f} {rule.at_night:>6} {rule.short:>5} {rule.again:>6} "
            f"{_length(rule.median_ms):>8} {_length(rule.longest_ms):>8}"
        )
    if not trial.rules:
        click.echo("nothing would have fired")
    click.echo(
        f"\n{pages.pages} pages ({pages.pages_per_week:.1f} a week, {pages.at_night} at night) in {pages.incidents} incidents; "
        f"{pages.untold} incidents told to nobody"
    )
    for who, count in pages.by_person.items():
        click.echo(f"  {who}: {count}")
    _show_firings("last firings", replay.firings[-_SHOWN:])
    for name, error in replay.errors.items():
        click.echo(f"error: {name}: {error}", err=True)
    for note in replay.notes:
        click.echo(f"note: {note}")


def _show_difference(difference: Difference) -> None:
    click.echo(f"{'':<18} {'in force':>10} {'planned':>10}")
    for name, before in difference.before.figures.items():
        click.echo(f"{name:<18} {before:>10.5g} {difference.after.figures[name]:>10.5g}")
    _show_firings("would come", difference.only_after[-_SHOWN:])
    _show_firings("would go", difference.only_before[-_SHOWN:])
    for name, error in difference.after.replay.errors.items():
        click.echo(f"error: {name}: {error}", err=True)


def _show_firings(title: str, firings: Sequence[Any]) -> None:
    if firings:
        click.echo(f"\n{title}:")
    for firing in firings:
        length = _length(firing.resolved_ms - firing.fired_ms) if firing.resolved_ms else "still firing"
        labels = ", ".join(f"{name}={value}" for name, value in firing.labels.pairs if name != "alertname")
        click.echo(f"  {_time(firing.fired_ms)}  {length:>12}  {firing.name}  {labels}")


def _time(t_ms: int) -> str:
    return f"{dt.datetime.fromtimestamp(t_ms / 1000, dt.UTC):%Y-%m-%d %H:%M}Z"


def _length(ms: int) -> str:
    return format_duration(max(1000, round(ms, -3)))
