"""Laravel's Encrypter, and the sealing of what goes to `private-encrypted-` channels.

Sources: `Illuminate/Encryption/Encrypter.php`; pusher-http-php `PusherCrypto.php`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.errors import ConfigurationError, Unreadable, WouldFail
from bridge.secret import Secret

_BLOCK = 16  # bytes of an AES block, and of a CBC initialisation vector
_GCM_IV = 12  # bytes
_TAG = 16  # bytes
_MASTER_KEY = 32  # bytes, and of any key of NaCl's secretbox


@dataclass(frozen=True, slots=True)
class _Kind:
    key_size: int  # bytes
    authenticated: bool  # GCM carries a tag, CBC a MAC beside it


_CIPHERS = {
    "aes-128-cbc": _Kind(16, authenticated=False),
    "aes-256-cbc": _Kind(32, authenticated=False),
    "aes-128-gcm": _Kind(16, authenticated=True),
    "aes-256-gcm": _Kind(32, authenticated=True),
}


class Encrypter:
    """Decrypts with any of the app's keys, the current one first; encrypts with that one.

    `keys` as in APP_KEY and APP_PREVIOUS_KEYS (`base64:…` or the bytes themselves), `cipher` as in
    `config('app.cipher')`. ConfigurationError for an unknown cipher, no key, or a key of another length.
    """

    def __init__(self, keys: Sequence[Secret], cipher: str = "AES-256-CBC") -> None:
        kind = _CIPHERS.get(cipher.lower())
        if kind is None:
            raise ConfigurationError(
                "app.cipher", "is not known to Laravel", remedy=f"use one of {', '.join(_CIPHERS)}"
            )
        if not keys:
            raise ConfigurationError("APP_KEY", "is empty", remedy="run `php artisan key:generate`")
        self._kind = kind
        self._keys = tuple(_key_bytes(key) for key in keys)
        if any(len(key) != kind.key_size for key in self._keys):
            raise ConfigurationError(
                "APP_KEY or APP_PREVIOUS_KEYS",
                f"has a key that is not {kind.key_size} bytes long, as {cipher} needs",
                remedy="run `php artisan key:generate`",
            )

    def decrypt(self, payload: bytes) -> bytes:
        """The plaintext as Laravel encrypted it, still in PHP's serialized form.

        Raises Unreadable if `payload` has not Laravel's form, WouldFail if no key opens it.
        """
        iv, value, mac, tag = self._parts(payload)
        if self._kind.authenticated:
            return self._open_gcm(_decode(iv), _decode(value), _decode(tag))
        for key in self._keys:
            if hmac.compare_digest(_mac(key, iv, value), mac.encode("utf-8", "replace")):
                return _open_cbc(key, _decode(iv), _decode(value))
        raise WouldFail("the job's command is encrypted with a key that is not APP_KEY or a previous one")

    def encrypt(self, plaintext: bytes, *, iv: bytes | None = None) -> bytes:
        """What Laravel's `encrypt` gives; `plaintext` in PHP's serialized form. `iv` is random if None."""
        from bridge.laravel import ciphers  # takes 7 MB, which most apps spare

        key = self._keys[0]
        iv = iv or os.urandom(_GCM_IV if self._kind.authenticated else _BLOCK)
        mac = tag = ""
        if self._kind.authenticated:
            sealed = ciphers.seal_gcm(key, iv, plaintext)
            value, tag = _encode(sealed[:-_TAG]), _encode(sealed[-_TAG:])
        else:
            value = _encode(ciphers.seal_cbc(key, iv, plaintext))
            mac = _mac(key, _encode(iv), value).decode()
        fields = {"iv": _encode(iv), "value": value, "mac": mac, "tag": tag}
        return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode())

    def _parts(self, payload: bytes) -> tuple[str, str, str, str]:
        try:
            fields = json.loads(base64.b64decode(payload))
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise Unreadable("the job's command is neither a serialized object nor encrypted by Laravel")
        iv, value, mac = (fields.get(name) for name in ("iv", "value", "mac"))
        tag = "" if fields.get("tag") is None else fields["tag"]
        if not (
            isinstance(iv, str) and isinstance(value, str) and isinstance(mac, str) and isinstance(tag, str)
        ):
            raise _malformed()
        iv_size = _GCM_IV if self._kind.authenticated else _BLOCK
        tag_size = _TAG if self._kind.authenticated else 0
        if len(_decode(iv)) != iv_size or len(_decode(tag)) != tag_size:
            raise _malformed()
        return iv, value, mac, tag

    def _open_gcm(self, iv: bytes, value: bytes, tag: bytes) -> bytes:
        from bridge.laravel import ciphers

        for key in self._keys:
            opened = ciphers.open_gcm(key, iv, value + tag)
            if opened is not None:
                return opened
        raise WouldFail("the job's command is encrypted with a key that is not APP_KEY or a previous one")


def master_key(text: Secret) -> bytes:
    """The 32 bytes of `encryption_master_key_base64`; ConfigurationError if it is not that."""
    try:
        key = base64.b64decode(text.reveal(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _MASTER_KEY:
        raise ConfigurationError(
            "encryption_master_key_base64",
            "is not the base64 of 32 bytes",
            where="config/broadcasting.php",
            remedy="make one with `openssl rand -base64 32`",
        )
    return key


def seal(channel: str, data: str, key: bytes, *, nonce: bytes | None = None) -> str:
    """The `data` text of a message on a `private-encrypted-` channel: `{"nonce":…,"ciphertext":…}`.

    `channel` with its prefix, `key` the 32-byte master key, `nonce` 24 bytes, random if None.
    """
    from nacl.secret import SecretBox  # takes 1 MB, which apps without encrypted channels spare

    shared = hashlib.sha256(channel.encode() + key).digest()
    sealed = SecretBox(shared).encrypt(data.encode(), nonce)
    text = json.dumps(
        {"nonce": _encode(sealed.nonce), "ciphertext": _encode(sealed.ciphertext)}, separators=(",", ":")
    )
    return text.replace("/", "\\/")  # as PHP's json_encode writes it


def unseal(channel: str, sealed: str, key: bytes) -> str | None:
    """The text that was sealed; None where it is not of that form or was sealed with another key."""
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    shared = hashlib.sha256(channel.encode() + key).digest()
    try:
        parts = json.loads(sealed)
        return SecretBox(shared).decrypt(_decode(parts["ciphertext"]), _decode(parts["nonce"])).decode()
    except (ValueError, TypeError, KeyError, AttributeError, CryptoError):
        return None


def _key_bytes(key: Secret) -> bytes:
    text = key.reveal()
    if not text.startswith("base64:"):
        return text.encode()
    return _decode(text.removeprefix("base64:"))


def _mac(key: bytes, iv: str, value: str) -> bytes:
    return hmac.new(key, (iv + value).encode(), hashlib.sha256).hexdigest().encode()


def _open_cbc(key: bytes, iv: bytes, value: bytes) -> bytes:
    from bridge.laravel import ciphers

    try:
        return ciphers.open_cbc(key, iv, value)
    except ValueError:
        raise _malformed() from None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text.encode("ascii", "replace"))
    except (binascii.Error, ValueError):
        return b""


def _malformed() -> Unreadable:
    return Unreadable("the job's encrypted command does not have the form that Laravel writes")
