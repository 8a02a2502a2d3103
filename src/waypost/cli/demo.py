"""`waypost demo`: a simulated carrier, the service, and an example receiver, together."""

import signal
from types import FrameType

import msgspec

from waypost.cli.output import CommandError, UsageError, remark, remarks, say
from waypost.demo.play import play_for_ever, play_once
from waypost.demo.processes import DemoError, free_port, is_free
from waypost.demo.stage import Stage, set_stage
from waypost.demo.view import LiveView, PlainView, View

DEFAULT_PORT = 8484


def demo(*, once: bool = False, port: int | None = None) -> None:
    """Watch shipments move: a simulated carrier, the service, and a small shop that listens. Ctrl-C stops it.

    ```
    waypost demo
    waypost demo --once
    ```

    Everything runs on this machine, in a temporary folder that is removed in the end. In the middle of the story the
    shop's program dies and comes back; nothing is lost and nothing happens twice.

    Parameters
    ----------
    once
        Play the story once at full speed, check that every event arrived exactly once in effect, and print the
        summary. Exit code 1 when something is missing.
    port
        Port of the service. Default: 8484, or a free one.
    """
    if port is not None and not (0 < port < 65_536 and is_free(port)):
        raise UsageError(f"Port {port} cannot be used: take a free one from 1 to 65535, or leave it out.")
    chosen = port or (DEFAULT_PORT if not once and is_free(DEFAULT_PORT) else free_port())
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with set_stage(chosen) as stage:
            (_once if once else _for_ever)(stage)
    except KeyboardInterrupt:
        if once:
            raise
        remark("The demo has stopped. Its processes and its folder are gone.")
    except DemoError as error:
        raise CommandError(str(error).partition("\n")[0], str(error).splitlines()[1:]) from error


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does, so that no process and no folder stays behind."""
    raise KeyboardInterrupt


def _once(stage: Stage) -> None:
    result = play_once(stage, _view(stage))
    for line in result.lines():
        say(line)
    if result.faults:
        raise CommandError("The shop and the log do not agree.", result.faults)


def _for_ever(stage: Stage) -> None:
    view = _view(stage)
    if isinstance(view, PlainView):
        for line in _welcome(stage):
            say(line)
    play_for_ever(stage, view)


def _view(stage: Stage) -> View:
    console = remarks()
    return LiveView(console, "\n".join(_welcome(stage))) if console.is_terminal else PlainView()


def _welcome(stage: Stage) -> list[str]:
    url, token = stage.client.url, stage.client.token
    link = msgspec.json.decode(stage.client.call("POST", "/v1/accounts/default/sign-in-links", {}).body)
    return [
        f"Pages  {link['url']}   (works once)",
        f"API    {url}/v1   (documentation: {url}/docs)",
        f"Shop   {stage.shop_url}",
        f"Token  {token}",
        f"Try    curl -H 'Authorization: Bearer {token}' '{url}/v1/shipments?limit=3'",
    ]
