"""The named templates that texts of receivers may call, by Alertmanager's names and with its results.

Two say something of our own: `__alertmanager` is our name, and `__alertmanagerURL` leads to the incident, a page that exists.
"""

from __future__ import annotations

_SUBJECT = (
    '[{{ toUpper .Status }}{{ if eq .Status "firing" }}:{{ len .Alerts.Firing }}{{ end }}] '
    '{{ join " " .GroupLabels.SortedPairs.Values }} '
    "{{ if gt (len .CommonLabels) (len .GroupLabels) }}"
    '({{ with .CommonLabels.Remove .GroupLabels.Names }}{{ join " " .Values }}{{ end }}){{ end }}'
)
_URL = "{{ if .TocsinURL }}{{ .TocsinURL }}{{ else }}{{ .ExternalURL }}/#/alerts?receiver={{ urlquery .Receiver }}{{ end }}"
_ANNOTATIONS = '{{ join " " .CommonAnnotations.SortedPairs.Values }}'
_WORDS = """{{ join "\\n" .TocsinLines }}"""


def _alert_list(*, before: str, indent: str) -> str:
    """Labels, annotations and source of each alert, below one another."""

    def pairs(of: str) -> str:
        return f"{before}{of}:\n{{{{ range .{of}.SortedPairs }}}}{indent}- {{{{ .Name }}}} = {{{{ .Value }}}}\n{{{{ end }}}}"

    each = f"{pairs('Labels')}{pairs('Annotations')}{before}Source: {{{{ .GeneratorURL }}}}\n"
    return f"{{{{ range . }}}}{each}{{{{ end }}}}{before}"


def _listed(*, before: str, between: str, after: str, mark: str = "", style: str = "__text_alert_list") -> str:
    """The alerts that fire, then those that ended; a part without alerts is left out, `between` and the line break are not."""

    def part(state: str) -> str:
        lines = f'{before}{mark}Alerts {state}:\n{{{{ template "{style}" .Alerts.{state} }}}}{after}'
        return f"{{{{ if gt (len .Alerts.{state}) 0 }}}}{lines}{{{{ end }}}}"

    return part("Firing") + between + part("Resolved")


_DENSE = f"{_ANNOTATIONS}\n" + _listed(before="", between="\n", after="")
_LOOSE = _listed(before="\n", between="\n", after="\n") + "\n"
_MARKDOWN = "\n" + _listed(before="\n", between="\n", after="\n", mark="# ", style="__text_alert_list_markdown") + "\n"
_RANK = """{{ $found := "" }}{{ range . }}{{ $severity := .Labels.severity }}\
{{ if eq $severity "critical" }}{{ $found = "High" }}\
{{ else if and (eq $severity "warning") (ne $found "High") }}{{ $found = "Medium" }}\
{{ else if and (eq $severity "info") (eq $found "") }}{{ $found = "Low" }}{{ end }}{{ end }}{{ $found }}"""
# Alertmanager looks at the ended alerts when no firing one has a known severity.
_PRIORITY = """{{ $known := false }}{{ range .Alerts.Firing }}{{ if match "^(critical|warning|info)$" .Labels.severity }}\
{{ $known = true }}{{ end }}{{ end }}\
{{ if $known }}{{ template "__priority" .Alerts.Firing }}{{ else }}{{ template "__priority" .Alerts.Resolved }}{{ end }}"""
_COLOUR = '{{ if eq .Status "firing" }}danger{{ else }}good{{ end }}'

NAMED = {
    "__subject": _SUBJECT,
    "__description": "",
    "__text_alert_list": _alert_list(before="", indent=" "),
    "__text_alert_list_markdown": _alert_list(before="\n", indent="  "),
    "__alertmanager": "Tocsin",
    "__alertmanagerURL": _URL,
    "__priority": _RANK,
    "slack.default.title": _SUBJECT,
    "slack.default.text": _WORDS,
    "slack.default.pretext": "",
    "slack.default.fallback": f"{_SUBJECT} | {_URL}",
    "slack.default.titlelink": _URL,
    "slack.default.username": "Tocsin",
    "slack.default.footer": "",
    "slack.default.callbackid": "",
    "slack.default.iconemoji": "",
    "slack.default.iconurl": "",
    "slack.default.color": _COLOUR,
    "email.default.subject": _SUBJECT,
    "email.default.html": "{{ .TocsinHTML }}",
    "pagerduty.default.description": _SUBJECT,
    "pagerduty.default.client": "Tocsin",
    "pagerduty.default.clientURL": _URL,
    "pagerduty.default.instances": '{{ template "__text_alert_list" . }}',
    "opsgenie.default.message": _SUBJECT,
    "opsgenie.default.description": _DENSE,
    "opsgenie.default.source": _URL,
    "victorops.default.state_message": _DENSE,
    "victorops.default.entity_display_name": _SUBJECT,
    "victorops.default.monitoring_tool": "Tocsin",
    "wechat.default.message": f"{_SUBJECT}\n{_DENSE}\nAlertmanagerUrl:\n{_URL}",
    "wechat.default.to_user": "",
    "wechat.default.to_party": "",
    "wechat.default.to_tag": "",
    "wechat.default.agent_id": "",
    "sns.default.subject": _SUBJECT,
    "sns.default.message": f"{_ANNOTATIONS}\n{_LOOSE}",
    "webex.default.message": f"{_ANNOTATIONS}\n{_LOOSE}",
    "pushover.default.title": _SUBJECT,
    "pushover.default.message": f"{_ANNOTATIONS}\n{_LOOSE}",
    "pushover.default.url": _URL,
    "telegram.default.message": f"\n{_LOOSE}",
    "discord.default.content": "",
    "discord.default.title": _SUBJECT,
    "discord.default.message": f"\n{_LOOSE}",
    "msteams.default.summary": _SUBJECT,
    "msteams.default.title": _SUBJECT,
    "msteams.default.text": _MARKDOWN,
    "msteamsv2.default.title": _SUBJECT,
    "msteamsv2.default.text": _MARKDOWN,
    "jira.default.summary": _SUBJECT,
    "jira.default.description": _MARKDOWN,
    "jira.default.priority": _PRIORITY,
    "rocketchat.default.title": _SUBJECT,
    "rocketchat.default.alias": "Tocsin",
    "rocketchat.default.titlelink": _URL,
    "rocketchat.default.emoji": "",
    "rocketchat.default.iconurl": "",
    "rocketchat.default.text": "",
    "mattermost.default.color": _COLOUR,
    "mattermost.default.username": "Tocsin",
    "mattermost.default.title": _SUBJECT,
    "mattermost.default.titlelink": _URL,
    "mattermost.default.fallback": f"{_SUBJECT} | {_URL}",
    "mattermost.default.text": _MARKDOWN,
}
BUILT_IN = "".join(f'{{{{ define "{name}" }}}}{text}{{{{ end }}}}' for name, text in NAMED.items())
