"""Real servers in the forms that real teams run: Redis with TLS, Sentinels, a Redis Cluster, pgbouncer."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests import services
from tests.certificates import self_signed
from tests.services import PASSWORD, USER, Redis, Server, free_port, program, wait_until

SERVICE = "mymaster"


@dataclass(frozen=True, slots=True)
class Certificates:
    """Of the server, whose own authority it is; and the same of somebody else."""

    folder: Path
    chain: str
    key: str
    stranger: str

    @classmethod
    def made_in(cls, folder: Path) -> Certificates:
        (folder / "other").mkdir()
        chain, key = self_signed(folder)
        Path(key).chmod(0o600)  # libpq reads no other
        stranger, _ = self_signed(folder / "other", "stranger")
        return cls(folder, chain, key, stranger)


def _tls_settings(certificates: Certificates, port: int, clients: str = "no") -> dict[str, str]:
    return {
        "tls-port": str(port),
        "tls-cert-file": certificates.chain,
        "tls-key-file": certificates.key,
        "tls-ca-cert-file": certificates.chain,
        "tls-auth-clients": clients,
    }


@contextlib.contextmanager
def tls_redis(certificates: Certificates, *, clients: str = "no") -> Iterator[tuple[Redis, int]]:
    """Redis, and its port of TLS; `clients`: `yes` where they have to show a certificate."""
    port = free_port()
    settings = _tls_settings(certificates, port, clients)
    with services.redis_server(**settings) as server:  # type: ignore[arg-type]
        yield server, port


def command(client: redis.Redis, *words: object) -> Any:
    """What the server answers to a command that redis-py has no method for."""
    return client.execute_command(*words)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Watched:
    """Two Redis servers, of which the second replicates the first, and the Sentinels that watch them."""

    first: Redis
    second: Redis
    sentinels: Sequence[Redis]

    @property
    def sentinel(self) -> Redis:
        return self.sentinels[0]

    def notices_soon(self) -> None:
        """From now on, and not before, a server that stands still for half a second counts as gone."""
        for sentinel in self.sentinels:
            with contextlib.closing(sentinel.client()) as client:
                command(client, "SENTINEL", "SET", SERVICE, "down-after-milliseconds", 500)


@contextlib.contextmanager
def watched_redis(sentinels: int = 1) -> Iterator[Watched]:
    """A failover is decided by most Sentinels, once `notices_soon` was called and the primary is gone."""
    at_once = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
    with services.redis_server(**at_once) as first, contextlib.ExitStack() as stack:  # type: ignore[arg-type]
        replica = {"masterauth": PASSWORD, "replicaof": f"127.0.0.1 {first.port}"}
        second = stack.enter_context(services.redis_server(**replica))  # type: ignore[arg-type]
        watching: list[Redis] = []
        for number in range(sentinels):
            folder = second.folder / f"sentinel-{number}"
            folder.mkdir()
            port = free_port()
            (folder / "sentinel.conf").write_text(
                f'port {port}\nbind 127.0.0.1\nrequirepass "{PASSWORD}"\nsentinel resolve-hostnames no\n'
                f'sentinel sentinel-pass "{PASSWORD}"\n'
                f"sentinel monitor {SERVICE} 127.0.0.1 {first.port} {sentinels // 2 + 1}\n"
                f'sentinel auth-pass {SERVICE} "{PASSWORD}"\n'
                f"sentinel down-after-milliseconds {SERVICE} 600000\n"
                f"sentinel failover-timeout {SERVICE} 2000\n"
            )
            command = [program("redis-server", "redis-server"), str(folder / "sentinel.conf"), "--sentinel"]
            sentinel = Redis(command, folder, port, services._redis_answers)
            sentinel.start()
            stack.callback(sentinel.stop)
            watching.append(sentinel)
        for sentinel in watching:
            with contextlib.closing(sentinel.client()) as client:

                def knows_all(client: redis.Redis = client) -> bool:
                    known: Any = client.sentinel_masters()
                    found = known[SERVICE]
                    return bool(found["num-slaves"]) and found["num-other-sentinels"] == sentinels - 1

                wait_until(knows_all, "the Sentinel knows the replica and the other Sentinels")
        with contextlib.closing(second.client()) as client:
            wait_until(lambda: is_in_step(client), "the replica holds what the primary does")
        yield Watched(first, second, watching)


def is_in_step(replica: redis.Redis) -> bool:
    """Whether it gets all that its primary writes."""
    info: Any = replica.info("replication")
    return bool(info["master_link_status"] == "up")


@contextlib.contextmanager
def redis_cluster(nodes: int = 2, **more: str) -> Iterator[list[Redis]]:
    """A Redis Cluster of so many nodes, which share the slots evenly, without replicas; `more`: settings."""
    with contextlib.ExitStack() as stack:
        buses = [free_port() for _ in range(nodes)]  # the usual ones, 10,000 above, may be too high
        running: list[Redis] = []
        for bus in buses:
            settings = {
                "cluster-enabled": "yes",
                "cluster-port": str(bus),
                "cluster-require-full-coverage": "no",
                "masterauth": PASSWORD,
                "repl-diskless-sync-delay": "0",
                **more,
            }
            running.append(stack.enter_context(services.redis_server(**settings)))  # type: ignore[arg-type]
        clients = [stack.enter_context(contextlib.closing(server.client())) for server in running]
        share = 16384 // nodes
        for number, client in enumerate(clients):
            last = 16383 if number == nodes - 1 else (number + 1) * share - 1
            command(client, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
            if number:
                command(client, "CLUSTER", "MEET", "127.0.0.1", running[0].port, buses[0])

        def knows_all(client: redis.Redis) -> bool:
            info = command(client, "CLUSTER", "INFO")
            is_up = info["cluster_state"] == "ok" if isinstance(info, dict) else b"cluster_state:ok" in info
            return is_up and len(command(client, "CLUSTER", "SLOTS")) == nodes

        for client in clients:
            wait_until(lambda client=client: knows_all(client), "the cluster has met")  # type: ignore[misc]
        yield running


@contextlib.contextmanager
def tls_cluster(certificates: Certificates) -> Iterator[int]:
    """The port of TLS of a Redis Cluster of one node, which tells its clients of no other."""
    port = free_port()
    settings = {
        **_tls_settings(certificates, port),
        "cluster-enabled": "yes",
        "cluster-port": str(free_port()),
        "tls-cluster": "yes",
    }
    with services.redis_server(**settings) as server, contextlib.closing(server.client()) as client:  # type: ignore[arg-type]
        command(client, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)

        def serves() -> bool:
            info = command(client, "CLUSTER", "INFO")
            return bool(info["cluster_state"] == "ok" if isinstance(info, dict) else b"state:ok" in info)

        wait_until(serves, "the cluster serves all slots")
        yield port


@contextlib.contextmanager
def tls_sentinel(certificates: Certificates) -> Iterator[int]:
    """The port of TLS of a Sentinel, which has no other and names the port of TLS of its primary."""
    with tls_redis(certificates) as (server, primary):
        folder = server.folder / "sentinel"
        folder.mkdir()
        port = free_port()
        settings = {
            **_tls_settings(certificates, port),
            "port": "0",
            "bind": "127.0.0.1",
            "tls-replication": "yes",
        }
        (folder / "sentinel.conf").write_text(
            "".join(f"{name} {value}\n" for name, value in settings.items())
            + f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 1\n"
            f'sentinel auth-pass {SERVICE} "{PASSWORD}"\n'
        )
        words = [program("redis-server", "redis-server"), str(folder / "sentinel.conf"), "--sentinel"]

        def answers(sentinel: Server) -> bool:
            with contextlib.closing(
                redis.Redis(port=sentinel.port, ssl=True, ssl_cert_reqs="none", ssl_check_hostname=False)
            ) as client:
                try:
                    known: Any = client.sentinel_masters()
                except redis.ConnectionError:
                    return False
                return bool(known[SERVICE]["is_master"] and not known[SERVICE]["is_disconnected"])

        sentinel = Redis(words, folder, port, answers)
        sentinel.start()
        try:
            yield port
        finally:
            sentinel.stop()


class PgBouncer(Server):
    user = USER


@contextlib.contextmanager
def pgbouncer(
    server: services.PostgreSQL, *, mode: str = "transaction", size: int = 2
) -> Iterator[PgBouncer]:
    """pgbouncer before all databases of the server, with so few of its sessions."""
    binary = program("pgbouncer", "pgbouncer")
    run_as = "postgres" if os.geteuid() == 0 else None
    folder = server.folder / f"pgbouncer-{free_port()}"
    folder.mkdir()
    port = free_port()
    (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = scram-sha-256\nauth_file = {folder}/users\n"
        "pool_mode = transaction\n"
        f"default_pool_size = {size}\nmax_client_conn = 100\nunix_socket_dir = {folder}\n"
        f"admin_users = {USER}\nlogfile = {folder}/log\n"
    )
    if run_as:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, run_as, run_as)
    made = PgBouncer([binary, str(folder / "pgbouncer.ini")], folder, port, _pgbouncer_answers, run_as)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def _pgbouncer_answers(server: Server) -> bool:
    try:
        psycopg.connect(
            host=server.host,
            port=server.port,
            user=USER,
            password=PASSWORD,
            dbname="postgres",
            connect_timeout=20,
        ).close()
    except psycopg.OperationalError:
        return False
    return True
