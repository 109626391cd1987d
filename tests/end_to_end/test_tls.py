"""Echo with forceTLS: true, in Node and in Chromium, to a bridge with a self-made certificate."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.certificates import self_signed
from tests.end_to_end.bridge import bridge_serve
from tests.end_to_end.echo import Place, echo_driver
from tests.end_to_end.laravel import Laravel
from tests.end_to_end.stores import open_store


def pin(chain: str) -> str:
    """The hash of the certificate's public key, as Chromium names keys."""
    key = x509.load_pem_x509_certificate(Path(chain).read_bytes()).public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.parametrize("place", ["node", "chromium"])
def test_echo_with_force_tls_gets_a_queued_event_and_whispers(
    request: pytest.FixtureRequest, tmp_path: Path, tag: str, place: Place
) -> None:
    (tmp_path / "store").mkdir()
    chain, key = self_signed(tmp_path)
    with open_store("sqlite", tmp_path / "store", request.getfixturevalue) as store:
        tls = {"BRIDGE_SSL_CERT": chain, "BRIDGE_SSL_KEY": key}
        app = Laravel.create(tmp_path / "app", {**store.settings, **tls})
        with (
            bridge_serve(app, scheme="https") as bridge,
            app.web() as web,
            echo_driver(tmp_path / "driver.txt", NODE_EXTRA_CA_CERTS=chain) as driver,
        ):
            ann, ben = (
                driver.open(user, place, page=f"{web}/page", pin=pin(chain)) for user in ("Ann", "Ben")
            )
            for client in (ann, ben):
                client.connect(port=bridge.port, app=web, user=client.name, tls=True)
                client.listen("private", "orders.7", events=("OrderShipped",), whispers=("typing",))
            app.dispatch("private", tag=tag)
            for client in (ann, ben):
                client.await_received(tag)
            whisper = f"whisper-{tag}"
            ann.whisper("orders.7", "typing", {"tag": whisper})
            ben.await_received(whisper)
            for client in (ann, ben):
                client.close()
