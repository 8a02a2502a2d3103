"""Which service the commands speak to, and with whose token."""

import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from waypost.cli.output import CommandError, UsageError
from waypost.client import Client
from waypost.secret_files import read_operator_token
from waypost.settings import Settings, load_settings


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Connection:
    """Which service, and whose account. The token comes from WAYPOST_TOKEN or from the data folder, never a flag."""

    url: Annotated[str | None, Parameter(help="Address of the service; default WAYPOST_URL, else this machine's.")] = (
        None
    )
    account: Annotated[str | None, Parameter(help="Account to act on, with an operator token.")] = None
    data_dir: Annotated[Path | None, Parameter(help="Data folder; default WAYPOST_DATA_DIR, else ./waypost-data.")] = (
        None
    )

    def settings(self) -> Settings:
        """The settings of this machine. Raises SettingsError."""
        return load_settings({} if self.data_dir is None else {"data_dir": str(self.data_dir)})

    def open(self) -> Client:
        """A client for the service. Raises CommandError when there is no address or no token for it."""
        settings = self.settings()
        given = self.url or os.environ.get("WAYPOST_URL") or settings.local_url
        if not _is_http_url(given):
            raise UsageError(f"{given} is not an http or https URL.")
        url = given.rstrip("/")
        token = self._token(settings, url)
        if not re.fullmatch(r"[!-~]+", token):
            raise UsageError("WAYPOST_TOKEN holds characters that no token has.")
        return Client(url, token, self.account)

    @staticmethod
    def _token(settings: Settings, url: str) -> str:
        given = os.environ.get("WAYPOST_TOKEN")
        if given:
            return given
        # The operator's token opens everything, so it goes to this machine's own service alone.
        if url not in {settings.local_url, settings.public_url} and not _is_loopback(url):
            raise CommandError(f"There is no token for {url}. Set WAYPOST_TOKEN.")
        try:
            found = read_operator_token(settings)
        except PermissionError as error:
            raise CommandError(f"{error.filename} may not be read by you. Set WAYPOST_TOKEN.") from error
        if found is None:
            raise CommandError(
                f"There is no operator-token in {settings.data_dir}. Start Waypost once with: waypost serve, "
                "or set WAYPOST_TOKEN."
            )
        return found


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
