"""AES as Laravel's encrypter uses it: imported where something is encrypted."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7


def seal_gcm(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """The tag stands at the end."""
    return AESGCM(key).encrypt(iv, plaintext, None)


def open_gcm(key: bytes, iv: bytes, sealed: bytes) -> bytes | None:
    """None where another key has sealed it."""
    try:
        return AESGCM(key).decrypt(iv, sealed, None)
    except InvalidTag:
        return None


def seal_cbc(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    padder, encryptor = PKCS7(AES.block_size).padder(), Cipher(AES(key), CBC(iv)).encryptor()
    padded = padder.update(plaintext) + padder.finalize()
    return encryptor.update(padded) + encryptor.finalize()


def open_cbc(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    """Raises ValueError where it is not whole."""
    decryptor, unpadder = Cipher(AES(key), CBC(iv)).decryptor(), PKCS7(AES.block_size).unpadder()
    padded = decryptor.update(sealed) + decryptor.finalize()
    return unpadder.update(padded) + unpadder.finalize()
