"""Tls: whom a client of a database or Redis trusts, and who it is itself; in PHP's terms."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from bridge.errors import ConfigurationError
from bridge.secret import Secret

SELF_SIGNED = "a self-signed certificate has to be named as cafile, allow_self_signed does not count"
"""For messages: OpenSSL in Python has no such check."""

# Python 3.13 demands extensions that authorities made by hand lack, and PHP does not.
STRICT = ssl.VERIFY_X509_STRICT


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PHP's SSL context options, as far as they decide whom we trust and who we are.

    key               where they are written, for messages
    ca_file, ca_path  the authorities that count; both None: the system's own
    certificate       the client's, path of a PEM file, and its private key; that may stand in the same file
    verify            the server's certificate is checked
    verify_name       so is the name in it, with the host
    """

    key: str = ""
    ca_file: str | None = None
    ca_path: str | None = None
    certificate: str | None = None
    private_key: str | None = None
    passphrase: Secret | None = None
    verify: bool = True
    verify_name: bool = True
    ciphers: str | None = None

    def context(self) -> ssl.SSLContext:
        """Raises ConfigurationError where a file is missing, or not what it should be."""
        try:
            made = ssl.create_default_context(cafile=self.ca_file, capath=self.ca_path)
            made.verify_flags &= ~STRICT
            made.check_hostname = self.verify and self.verify_name
            made.verify_mode = ssl.CERT_REQUIRED if self.verify else ssl.CERT_NONE
            if self.certificate:
                password = (
                    self.passphrase.reveal() if self.passphrase else ""
                )  # never asked for at a terminal
                made.load_cert_chain(self.certificate, self.private_key, password)
            if self.ciphers:
                made.set_ciphers(self.ciphers)
        except (OSError, ValueError) as error:
            files = (self.ca_file, self.ca_path, self.certificate, self.private_key)
            raise ConfigurationError(
                self.key,
                f"cannot be used for TLS ({_reason(error)}): {', '.join(file for file in files if file)}",
                remedy="correct the paths of certificates and keys, and let this user read them",
            ) from None
        return made


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


# Words of OpenSSL, of the clients around it and of the servers, by what is wrong.
_FAULTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("its certificate is not trusted", ("CERTIFICATE_VERIFY_FAILED", "certificate verify failed")),
    ("it does not speak TLS", ("WRONG_VERSION_NUMBER", "record layer failure", "does not support SSL")),
    ("it takes no client without a certificate that it trusts", ("_ALERT_", " alert ", "valid client cert")),
    ("it demands TLS", ("insecure transport", "no encryption", "SSL off", "SSL is required")),
    ("a file of a certificate or key cannot be used", ("private key file", "certificate file")),
    ("the TLS handshake failed", ("[SSL", "SSL error", "SSL SYSCALL", "SSL connection")),
)


# A server that refuses the client's certificate, or lack of one, says so after the handshake (TLS 1.3): the
# client may see no more than that it was cut off.
_CUT = ("violation of protocol", "closed by server", "reset by peer", "Broken pipe")
_CUT_FAULT = "it cut the connection after the handshake, as servers do that want another client certificate"


def explain_tls_error(said: str, *, is_tls: bool = False) -> str | None:
    """What is wrong with TLS, given what a client said of its failed connection; None: nothing.

    `is_tls`: it was one of TLS."""
    if is_tls and any(word in said for word in _CUT):
        return _CUT_FAULT
    return next((fault for fault, words in _FAULTS if any(word in said for word in words)), None)
