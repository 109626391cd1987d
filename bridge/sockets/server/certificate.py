"""Certificate: what the port shows in TLS handshakes, read again without a restart."""

from __future__ import annotations

import ssl
from typing import Any

from bridge.errors import ConfigurationError


class Certificate:
    """A certificate chain and its private key, from PEM files.

    `context` is for the listener and stays; each handshake is done with the newest that could be read.
    Raises ConfigurationError when the files cannot be used.
    """

    def __init__(self, chain: str, key: str) -> None:
        self._chain = chain
        self._key = key
        self._newest = self.context = self._read()
        self.context.sni_callback = self._choose  # called also for clients that name no server

    def reload(self) -> None:
        """Uses what stands in the files now for new handshakes. ConfigurationError: the old stays."""
        self._newest = self._read()

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self._chain, self._key, password="")  # a key with a password is an error
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "reason", None) or getattr(problem, "strerror", None) or str(problem)
            raise ConfigurationError(
                "ssl_cert and ssl_key",
                f"cannot be used ({reason})",
                where=f"{self._chain}, {self._key}",
                remedy="give PEM files of a certificate chain and of its own private key, without a password",
            ) from None
        return context

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> Any:
        connection.context = self._newest
