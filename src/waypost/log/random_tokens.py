"""Secrets that a browser or a link holds. They are 256 random bits, so their plain hash cannot be guessed back."""

import secrets

TOKEN_BYTES = 32


def new_token() -> str:
    """Give a new one, of characters that a path and a cookie can hold."""
    return secrets.token_urlsafe(TOKEN_BYTES)
