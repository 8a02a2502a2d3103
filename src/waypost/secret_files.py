"""The secret key and the operator's token, which a first start makes for itself.

Both live in the data folder as one line of text, mode 0600, unless they are given from outside. They are made whole or
not at all, and only once: two services that start together end up with the same files.
"""

import base64
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from waypost.settings import OPERATOR_TOKEN, SECRET_KEY, SECRET_KEY_BYTES, Settings, SettingsError, read_secret_key

SECRET_KEY_FILE = "secret-key"  # noqa: S105 - the name of a file
OPERATOR_TOKEN_FILE = "operator-token"  # noqa: S105 - the name of a file


@dataclass(frozen=True, slots=True)
class OperatorToken:
    """The operator's token. `made` is true only at the first start, which made it: the moment to show it once."""

    text: str = field(repr=False)
    made: bool


def open_secret_key(settings: Settings) -> bytes:
    """Give the secret key (32 bytes) of these settings, making the data folder and the key at the first start.

    Raises SettingsError when the file holds something else, when the folder cannot be written, and when a database is
    there whose key is gone: a new key could not read what the old one encrypted.
    """
    with _data_folder(settings):
        return settings.secret_key or _key_of_folder(settings)


def open_operator_token(settings: Settings) -> OperatorToken:
    """Give the operator's token of these settings, making it at the first start. Raises SettingsError as above.

    Call it once the start can no longer be refused: a token that no database knows would mislead whoever finds it.
    """
    with _data_folder(settings):
        return _token_of_folder(settings)


@contextmanager
def _data_folder(settings: Settings) -> Iterator[None]:
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise SettingsError(f"The data folder {settings.data_dir} cannot be used: {error.strerror}.") from error


def read_operator_token(settings: Settings) -> str | None:
    """The operator's token as given or as found in the data folder; None before the first start."""
    if settings.operator_token is not None:
        return settings.operator_token
    try:
        return (settings.data_dir / OPERATOR_TOKEN_FILE).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _key_of_folder(settings: Settings) -> bytes:
    path = settings.data_dir / SECRET_KEY_FILE
    if not path.exists():
        _refuse_new_key_for_old_database(settings, path)
        _write_once(path, base64.b64encode(secrets.token_bytes(SECRET_KEY_BYTES)).decode())
    try:
        return read_secret_key(path.read_text(encoding="ascii"))
    except ValueError:
        raise SettingsError(f"{path} holds something else; allowed: {SECRET_KEY.allowed}.") from None


def _refuse_new_key_for_old_database(settings: Settings, path: Path) -> None:
    database = settings.data_dir / "waypost.db"
    if settings.is_sqlite and database.exists():
        raise SettingsError(f"{database} has no key: put {path} back or give the key with {SECRET_KEY.variable}.")


def _token_of_folder(settings: Settings) -> OperatorToken:
    if settings.operator_token is not None:
        return OperatorToken(settings.operator_token, made=False)
    path = settings.data_dir / OPERATOR_TOKEN_FILE
    made = not path.exists() and _write_once(path, "wp_" + secrets.token_urlsafe(32))
    try:
        return OperatorToken(OPERATOR_TOKEN.read(path.read_text(encoding="ascii").strip()), made)
    except ValueError:
        raise SettingsError(f"{path} holds something else; allowed: {OPERATOR_TOKEN.allowed}.") from None


def _write_once(path: Path, text: str) -> bool:
    """Write the file with mode 0600, whole and on disk, unless it is there already. True when this call wrote it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # unlike a rename, it refuses to replace what another start just made
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
