"""The entry point of the command line: the tree of commands, and what each ending means to the shell.

Exit codes: 0 fine, 1 failed, 2 wrong use. A failure is one sentence on standard error, never a traceback.
"""

import os
import sys

from cyclopts import App, CycloptsError, Parameter
from rich.text import Text

from waypost import __version__
from waypost.cli.output import CommandError, complain, visible
from waypost.client import ClientError
from waypost.settings import SettingsError

HELP = """Tell every business system about its shipments, the moment something happens.

A first look, with a simulated carrier and an example receiver:

```
waypost demo
```

For real: `waypost serve` in one terminal, and in another

```
waypost endpoint add https://erp.example/hooks/waypost
waypost shipment put SO-1001 shipment.json
waypost events tail
```

Most commands speak to a running service: the one at WAYPOST_URL with WAYPOST_TOKEN, else the one of this machine with
the operator's token in its data folder.
"""

# Each command's module is imported when it is called: the help of one does not wait for the parts of all.
COMMANDS = {
    "serve": ("serve:serve", "Run the API and delivery in one service."),
    "demo": ("demo:demo", "Watch a simulated carrier, the service and an example receiver at work."),
    "migrate": ("migrate:migrate", "Bring the database to this version."),
    "token": ("token:app", "Make, list and revoke the API tokens of an account."),
    "sign-in-link": ("sign_in_link:sign_in_link", "Make a link that lets somebody in to the pages, once."),
    "endpoint": ("endpoint:app", "Add, test, pause and watch the endpoints that webhooks go to."),
    "shipment": ("shipment:app", "Put shipments, add what a carrier says, and show what is known."),
    "events": ("events:app", "List, follow, replay and send the events of an account."),
    "simulate": ("simulate:simulate", "Run the service in a world that does it harm, and check its promises."),
    "verify": ("verify:verify", "Check a captured request: which part of its signature is wrong, and why."),
    "bench": ("bench:bench", "Measure how fast it is on this machine, and how much memory it takes."),
    "doctor": ("doctor:doctor", "Check configuration, database, clock, egress rules and endpoints."),
}


def build_app(called: str | None) -> App:
    """The tree of commands. Only the module of the command that is `called` is imported."""
    app = App(
        name="waypost",
        help=HELP,
        version=__version__,
        default_parameter=Parameter(negative=""),
        error_formatter=lambda error: Text(_sentence(error)),
        suppress_keyboard_interrupt=False,
        sort_key=None,
    )
    for number, (name, (place, summary)) in enumerate(COMMANDS.items()):
        # A summary given here stands in for the command's own words, which only its module has.
        told = {} if name == called else {"help": summary}
        app.command(f"waypost.cli.{place}", name=name, sort_key=number, **told)
    return app


def _sentence(error: CycloptsError) -> str:
    return visible(error).strip()


def main() -> None:
    """Run the command that the arguments name."""
    try:
        # The parser takes every leading hyphen for a flag; as a path, standard input has none.
        words = ["./-" if word == "-" else word for word in sys.argv[1:]]
        build_app(next((word for word in words if not word.startswith("-")), None))(words)
    except CommandError as error:
        complain(error, error.places)
        sys.exit(error.exit_code)
    except ClientError as error:
        complain(error, error.places)
        sys.exit(1)
    except SettingsError as error:
        complain(error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)  # what shells give a program that Ctrl-C ended
    except BrokenPipeError:
        # The reader of the pipe has seen enough; nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
