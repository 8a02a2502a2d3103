"""The settings that a command-line flag may give."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from sqlalchemy.exc import SQLAlchemyError

from waypost.cli.output import CommandError
from waypost.log import DatabaseProblem
from waypost.settings import CONFIG_FILE, Settings, load_settings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFlags:
    """The settings that say where the data is."""

    data_dir: Annotated[str | None, Parameter(help="Folder for database and secrets. Default: ./waypost-data")] = None
    database_url: Annotated[str | None, Parameter(help="sqlite:///path or postgresql://… Default: in the folder")] = (
        None
    )
    config: Annotated[Path, Parameter(help="File with settings.")] = CONFIG_FILE

    def settings(self) -> Settings:
        """The settings with these flags above environment and file. Raises SettingsError."""
        texts = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "config"}
        given = {name: text for name, text in texts.items() if text is not None}
        return load_settings(given, config_file=self.config)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFlags(DatabaseFlags):
    """The settings of a service. Secrets have no flag: everyone on a machine sees the arguments of its programs."""

    host: Annotated[str | None, Parameter(help="Address to listen on. Default: 127.0.0.1")] = None
    port: Annotated[str | None, Parameter(help="Port to listen on. Default: 8484")] = None
    public_url: Annotated[str | None, Parameter(help="Address that users see. Default: from host and port")] = None
    egress_allow: Annotated[str | None, Parameter(help="Private networks webhooks may reach. Default: none")] = None
    retention_days: Annotated[str | None, Parameter(help="Days events and attempts are kept. Default: 30")] = None
    retention_days_owed: Annotated[
        str | None, Parameter(help="Days an event is kept that an endpoint is still owed. Default: 90")
    ] = None
    log_format: Annotated[str | None, Parameter(help="console or json. Default: console on a terminal")] = None


@contextmanager
def database_errors() -> Iterator[None]:
    """Turn what is wrong with the database into one sentence."""
    try:
        yield
    except DatabaseProblem as error:
        raise CommandError(str(error)) from error
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or error)
        raise CommandError(f"The database cannot be used: {cause.strip().splitlines()[0]}") from error
