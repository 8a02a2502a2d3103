"""`waypost doctor`: what is set, from where, and whether it all works."""

import asyncio
from collections.abc import Iterator

import msgspec
from rich.text import Text

from waypost.cli import checks
from waypost.cli.checks import Finding
from waypost.cli.connection import Connection
from waypost.cli.output import AsJson, CommandError, print_json, print_table, results, visible
from waypost.client import Client, ClientError
from waypost.clock import SystemClock
from waypost.delivery.egress import EgressRules
from waypost.service import own_sockets
from waypost.settings import SETTINGS, Settings

MARKS = {"ok": ("✓", "green"), "remark": ("•", "yellow"), "fail": ("✗", "red")}


class Value(msgspec.Struct, frozen=True):
    """A setting as it is shown: secrets hidden."""

    name: str
    value: str
    source: str


def doctor(*, json: AsJson = False, connection: Connection | None = None) -> None:
    """Check configuration, secret key, database, clock, egress rules, and whether mail server and endpoints answer.

    ```
    waypost doctor
    ```

    Nothing is changed and nothing is sent: to endpoints and the mail server it only connects. Exit code 1 when
    something is not well.
    """
    connection = connection or Connection()
    settings = connection.settings()
    values = [Value(each.name, settings.shown(each.name), settings.sources[each.name]) for each in SETTINGS]
    if not json:
        print_table(("setting", "value", "from"), [(each.name, each.value, each.source) for each in values])
        results().print()
    findings = []
    for finding in _findings(settings, connection):
        findings.append(finding)
        if not json:
            _print_finding(finding)
    if json:
        print_json({"settings": values, "findings": findings})
    failed = sum(finding.health == "fail" for finding in findings)
    if failed:
        raise CommandError(f"{failed} {'check' if failed == 1 else 'checks'} failed.")


def _print_finding(finding: Finding) -> None:
    mark, style = MARKS[finding.health]
    console = results()
    if not console.is_terminal:
        return print_table((), [(finding.health, finding.about, finding.says)])
    return console.print(Text.assemble((mark, style), f" {visible(finding.about)}  ", (visible(finding.says), "dim")))


def _findings(settings: Settings, connection: Connection) -> Iterator[Finding]:
    yield from checks.configuration(settings)
    yield from checks.database(settings, SystemClock().now())
    yield from checks.egress(settings)
    yield from checks.retention(settings)
    yield asyncio.run(checks.mail(settings))
    try:
        client = connection.open()
    except CommandError as error:
        yield from checks.clock(settings, None, SystemClock().now())
        yield Finding("service", "remark", str(error))
        return
    yield from checks.clock(settings, client, SystemClock().now())
    service = list(checks.service(client))
    yield from service
    if all(finding.health == "ok" for finding in service):
        yield from _endpoints(settings, client)


def _endpoints(settings: Settings, client: Client) -> Iterator[Finding]:
    try:
        found = checks.endpoints(client)
    except ClientError as error:
        yield Finding("endpoints", "fail", str(error))
        return
    if not found:
        yield Finding("endpoints", "remark", "There is no endpoint yet. Add one: waypost endpoint add URL")
    rules = EgressRules(settings.egress_allow, own_sockets(settings))
    for account, endpoint in found:
        yield asyncio.run(checks.reach(account, endpoint, rules))
