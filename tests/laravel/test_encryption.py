from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.secret import SecretBox

from bridge.errors import ConfigurationError, JobError, Unreadable, WouldFail
from bridge.laravel.encryption import Encrypter, master_key, seal
from bridge.secret import Secret
from tests.phpeval.laravel.php import Php, php

CIPHERS = {"AES-256-CBC": 32, "AES-128-CBC": 16, "aes-256-gcm": 32, "AES-128-GCM": 16}


def key(cipher: str, fill: str = "k") -> Secret:
    return Secret("base64:" + base64.b64encode(fill.encode() * CIPHERS[cipher]).decode())


@pytest.fixture(scope="module")
def laravel() -> Iterator[Php]:
    body = r"""
        $key = base64_decode(substr($question['key'], 7));
        $encrypter = new Illuminate\Encryption\Encrypter($key, $question['cipher']);
        return isset($question['decrypt']) ? $encrypter->decrypt($question['decrypt'])
            : $encrypter->encrypt($question['encrypt']);
    """
    with php(body, component="Encryption") as process:
        yield process


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("text", ["", "short", "sixteen bytes!!!", "ünï ☃\0", "x" * 5000])
def test_laravel_and_bridge_read_what_the_other_encrypts(laravel: Php, cipher: str, text: str) -> None:
    ours = Encrypter([key(cipher)], cipher)
    asked = {"key": key(cipher).reveal(), "cipher": cipher}
    serialized = f's:{len(text.encode())}:"{text}";'.encode()
    theirs = laravel.ask({**asked, "encrypt": text})["ok"]
    assert isinstance(theirs, str)
    assert ours.decrypt(theirs.encode()) == serialized
    assert laravel.ask({**asked, "decrypt": ours.encrypt(serialized).decode()}) == {"ok": text}


@pytest.mark.parametrize("cipher", CIPHERS)
def test_previous_keys_open_what_was_encrypted_before(cipher: str) -> None:
    old, new = key(cipher, "o"), key(cipher, "n")
    sealed = Encrypter([old], cipher).encrypt(b"N;")
    assert Encrypter([new, old], cipher).decrypt(sealed) == b"N;"
    with pytest.raises(WouldFail):
        Encrypter([new], cipher).decrypt(sealed)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("field", ["iv", "value", "mac", "tag"])
def test_a_changed_field_is_refused_before_anything_is_decrypted(cipher: str, field: str) -> None:
    encrypter = Encrypter([key(cipher)], cipher)
    fields = json.loads(base64.b64decode(encrypter.encrypt(b's:1:"x";')))
    values: list[object] = ["", "AAAA", base64.b64encode(b"\1" * 16).decode(), 7, None, []]
    for value in values:
        changed = base64.b64encode(json.dumps({**fields, field: value}).encode())
        if not fields[field] and (value == "" or (value is None and field == "tag")):
            continue  # the field is empty in this mode
        if field == "mac" and "gcm" in cipher.lower() and isinstance(value, str):
            assert encrypter.decrypt(changed) == b's:1:"x";'  # as in Laravel: GCM has no MAC to look at
            continue
        with pytest.raises(JobError):
            encrypter.decrypt(changed)


@settings(max_examples=200)
@given(payload=st.binary(max_size=60) | st.text(max_size=60).map(lambda t: base64.b64encode(t.encode())))
def test_no_payload_makes_anything_but_a_job_error(payload: bytes) -> None:
    with pytest.raises(Unreadable):
        Encrypter([key("AES-256-CBC")]).decrypt(payload)


@pytest.mark.parametrize("keys", [[], [Secret("canary")], [Secret("base64:Y2FuYXJ5")], [Secret("base64:?")]])
def test_a_wrong_key_is_a_configuration_error_that_does_not_show_it(keys: list[Secret]) -> None:
    with pytest.raises(ConfigurationError, match="APP_KEY") as caught:
        Encrypter(keys)
    assert "anary" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="cipher"):
        Encrypter([key("AES-256-CBC")], "DES")


def test_a_sealed_message_opens_with_the_channels_shared_secret() -> None:
    master = bytes(range(32))
    text = seal("private-encrypted-room.7", '{"a":"ü"}', master, nonce=b"n" * 24)
    parts = json.loads(text)
    assert base64.b64decode(parts["nonce"]) == b"n" * 24
    shared = hashlib.sha256(b"private-encrypted-room.7" + master).digest()
    opened = SecretBox(shared).decrypt(base64.b64decode(parts["ciphertext"]), b"n" * 24)
    assert opened == '{"a":"ü"}'.encode()
    assert seal("private-encrypted-a", "x", master) != seal("private-encrypted-a", "x", master)


def test_a_sealed_message_is_what_phps_sodium_makes() -> None:
    body = r"""
        $master = base64_decode($question['master']);
        $shared = hash('sha256', $question['channel'].$master, true);
        $nonce = str_repeat('n', SODIUM_CRYPTO_SECRETBOX_NONCEBYTES);
        return json_encode(['nonce' => base64_encode($nonce),
            'ciphertext' => base64_encode(sodium_crypto_secretbox($question['data'], $nonce, $shared))]);
    """
    master = bytes(range(200, 232))
    data = '{"text":"' + "ÿ?>" * 40 + '"}'
    with php(body) as process:
        question = {
            "master": base64.b64encode(master).decode(),
            "channel": "private-encrypted-x",
            "data": data,
        }
        assert process.ask(question) == {"ok": seal("private-encrypted-x", data, master, nonce=b"n" * 24)}


def test_a_master_key_is_32_bytes_in_base64() -> None:
    assert master_key(Secret(base64.b64encode(b"m" * 32).decode())) == b"m" * 32
    for wrong in ("", "canary", base64.b64encode(b"m" * 31).decode()):
        with pytest.raises(ConfigurationError) as caught:
            master_key(Secret(wrong))
        assert "canary" not in str(caught.value)
