"""The certificate that a client sees, before and after its files have changed."""

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.errors import ConfigurationError
from bridge.sockets.server.certificate import Certificate
from tests.certificates import self_signed
from tests.sockets.server.running import LIMIT, Client, connect, running

pytestmark = pytest.mark.anyio


async def shown(port: int, name: str | None = None) -> str:
    """The common name of the certificate in a new handshake."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    opening = asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name, ssl_handshake_timeout=LIMIT
    )
    _, writer = await opening
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    (common,) = x509.load_der_x509_certificate(der).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common.value)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])  # with and without server name in the handshake
async def test_new_handshakes_get_the_new_certificate_and_old_connections_stay(
    tmp_path: Path, name: str
) -> None:
    certificate = Certificate(*self_signed(tmp_path, "old"))
    context = ssl.create_default_context(cafile=str(tmp_path / "chain.pem"))
    async with running(certificate=certificate) as server:
        url = server.url().replace("ws://127.0.0.1", "wss://localhost")
        async with connect(url, ssl=context) as websocket:
            client = Client(websocket, server.app)
            await client.get("pusher:connection_established")
            assert await shown(server.port, name) == "old"
            self_signed(tmp_path, "new")
            assert await shown(server.port, name) == "old"
            certificate.reload()
            assert await shown(server.port, name) == "new"
            await client.silence()


async def test_files_that_cannot_be_used_leave_the_old_certificate(tmp_path: Path) -> None:
    certificate = Certificate(*self_signed(tmp_path, "old"))
    (tmp_path / "other").mkdir()
    self_signed(tmp_path / "other")
    foreign_key = (tmp_path / "other/key.pem").read_bytes()
    async with running(certificate=certificate) as server:
        for file, content in (("chain.pem", b"nonsense"), ("key.pem", b""), ("key.pem", foreign_key)):
            before = (tmp_path / file).read_bytes()
            (tmp_path / file).write_bytes(content)
            with pytest.raises(ConfigurationError, match=r"chain\.pem"):
                certificate.reload()
            assert await shown(server.port) == "old"
            (tmp_path / file).write_bytes(before)
        certificate.reload()


def test_a_key_with_a_password_is_refused_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    chain, key = self_signed(tmp_path)
    locked = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    Path(key).write_bytes(locked)
    with pytest.raises(ConfigurationError, match="without a password"):
        Certificate(chain, key)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"chain\.pem"):
        Certificate(str(tmp_path / "chain.pem"), str(tmp_path / "key.pem"))
