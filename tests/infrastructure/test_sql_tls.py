"""MariaDB and PostgreSQL with TLS, as Laravel's options tell of it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from bridge.errors import ConfigurationError
from bridge.jobs.queue.sql.driver import DatabaseQueue
from bridge.laravel.application import load
from bridge.laravel.config_values import Value
from bridge.laravel.connections import DatabaseConnection
from bridge.laravel.database import engine
from tests import services
from tests.infrastructure.conftest import MakeApp
from tests.infrastructure.servers import Certificates


@pytest.fixture(scope="module")
def secure_mariadb(certificates: Certificates) -> Iterator[services.Database]:
    """It knows one user that has to come with TLS, and one with a certificate besides."""
    files = (
        f"--ssl-ca={certificates.chain}",
        f"--ssl-cert={certificates.chain}",
        f"--ssl-key={certificates.key}",
    )
    with services.mariadb(*files) as server, server.database() as database:
        for name, demand in (("secure", "SSL"), ("known", "X509")):
            server._administer(f"CREATE USER '{name}'@'%%' IDENTIFIED BY 'p' REQUIRE {demand}")
            server._administer(f"GRANT ALL ON *.* TO '{name}'@'%%'")
        yield database


@pytest.fixture
def secure_postgres(
    certificates: Certificates, postgres: services.PostgreSQL, postgres_database: services.Database
) -> Iterator[services.Database]:
    for name in ("server.crt", "server.key"):
        file = postgres.folder / name
        shutil.copy(certificates.chain if name == "server.crt" else certificates.key, file)
        if postgres._run_as:
            shutil.chown(file, postgres._run_as, postgres._run_as)
        file.chmod(0o600)
    folder = postgres.folder
    settings = {"ssl": "on", "ssl_cert_file": f"{folder}/server.crt", "ssl_key_file": f"{folder}/server.key"}
    for name, value in settings.items():
        postgres._administer(f"alter system set {name} = '{value}'")
    _reload(postgres, "on")
    yield postgres_database
    for name in settings:
        postgres._administer(f"alter system reset {name}")
    _reload(postgres, "off")


def _reload(postgres: services.PostgreSQL, ssl: str) -> None:
    """The server has read its configuration anew, which it does after it has said so."""
    postgres._administer("select pg_reload_conf()")

    def is_read() -> bool:
        made = sa.create_engine(postgres.url(postgres.home), poolclass=sa.NullPool)
        with made.connect() as connection:
            return bool(connection.scalar(sa.text("show ssl")) == ssl)

    services.wait_until(is_read, f"ssl is {ssl}")


def _laravel(database: services.Database, options: str, **changes: str) -> str:
    where = {
        "driver": database.driver,
        "host": database.env["DB_HOST"],
        "port": database.env["DB_PORT"],
        "database": database.env["DB_DATABASE"],
        "username": database.env["DB_USERNAME"],
        "password": services.PASSWORD,
        **changes,
    }
    written = ", ".join(f"'{name}' => '{value}'" for name, value in where.items())
    return f"['default' => 'default', 'connections' => ['default' => [{written}, {options}]]]"


def _check(facts: DatabaseConnection) -> str:
    """The cipher of the connection, once the queue is checked."""
    made = engine(facts)
    try:
        with contextlib.closing(DatabaseQueue(made)) as queue:
            queue.check()
        with made.connect() as connection:
            if facts.driver == "pgsql":
                query = "select coalesce(cipher, '') from pg_stat_ssl where pid = pg_backend_pid()"
                return str(connection.scalar(sa.text(query)))
            return str(connection.execute(sa.text("show status like 'Ssl_cipher'")).one()[1])
    finally:
        made.dispose()


MYSQL = "PDO::MYSQL_ATTR_SSL"


@pytest.mark.parametrize(
    ("user", "options"),
    [
        ("secure", f"{MYSQL}_CA => 'CA'"),
        ("secure", f"{MYSQL}_CA => 'STRANGER', {MYSQL}_VERIFY_SERVER_CERT => false"),
        ("secure", "Pdo\\Mysql::ATTR_SSL_CA => 'CA', Pdo\\Mysql::ATTR_SSL_VERIFY_SERVER_CERT => true"),
        (
            "secure",
            "(PHP_VERSION_ID >= 80500 ? \\Pdo\\Mysql::ATTR_SSL_CA : \\PDO::MYSQL_ATTR_SSL_CA) => 'CA'",
        ),
        (
            "secure",
            "(defined('Pdo\\\\Mysql::ATTR_SSL_CA') ? constant('Pdo\\\\Mysql::ATTR_SSL_CA')"
            " : PDO::MYSQL_ATTR_SSL_CA) => 'CA'",
        ),
        ("known", f"{MYSQL}_CA => 'CA', {MYSQL}_CERT => 'CA', {MYSQL}_KEY => 'KEY'"),
    ],
)
def test_mysql_options_reach_a_server_that_demands_tls(
    app: MakeApp, secure_mariadb: services.Database, certificates: Certificates, user: str, options: str
) -> None:
    for name, path in (("CA'", certificates.chain), ("KEY'", certificates.key)):
        options = options.replace(f"'{name}", f"'{path}'")
    options = options.replace("STRANGER", certificates.stranger)
    database = _laravel(secure_mariadb, f"'options' => [{options}]", username=user, password="p")
    assert _check(app(database, "database").database())


def test_options_that_only_php_knows_are_refused_where_env_speaks_of_tls(
    app: MakeApp, secure_mariadb: services.Database, certificates: Certificates, tmp_path: Path
) -> None:
    """Never a plain connection in place of the app's; what the remedy names is then used."""
    options = "'options' => options_of_the_app()"
    app(_laravel(secure_mariadb, options, username="secure", password="p"), "database")

    def facts(env: dict[str, str], given: dict[str, Value] | None = None) -> DatabaseConnection:
        return load(tmp_path / "app", env, "12.30", given).database()

    assert facts({"DB_SSL_CA": "", "DB_CACHE": "x"}).tls is None
    assert _check(facts({"MYSQL_ATTR_SSL_CA": certificates.chain}))
    for name in ("DB_SSL_CA", "DATABASE_TLS", "MYSQL_SSL_MODE"):
        with pytest.raises(ConfigurationError, match=r'"database.connections.default.options.1009" = '):
            facts({name: certificates.chain})
    place = "database.connections.default.options.1009"
    assert _check(facts({"DB_SSL_CA": certificates.chain}, {place: certificates.chain}))


def test_without_options_mysql_asks_for_no_certificate(
    app: MakeApp, secure_mariadb: services.Database
) -> None:
    empty = f"'options' => array_filter([{MYSQL}_CA => env('MYSQL_ATTR_SSL_CA')])"
    facts = app(_laravel(secure_mariadb, empty), "database").database()
    assert facts.tls is None
    _check(facts)


@pytest.mark.parametrize(
    ("options", "changes", "said"),
    [
        (f"{MYSQL}_CA => 'STRANGER'", {}, "TLS to the database .*not trusted.*MYSQL_ATTR_SSL"),
        (f"{MYSQL}_CA => 'CA'", {"host": "0.0.0.0"}, "TLS to the database .*not trusted.*MYSQL_ATTR_SSL"),  # noqa: S104
        (f"{MYSQL}_CA => '/none.pem'", {}, r"MYSQL_ATTR_SSL.*No such file.*/none\.pem"),
    ],
)
def test_a_mysql_certificate_that_is_not_trusted_is_named_as_the_cause(
    app: MakeApp,
    secure_mariadb: services.Database,
    certificates: Certificates,
    options: str,
    changes: dict[str, str],
    said: str,
) -> None:
    """The name counts too, as in PHP's own driver."""
    options = options.replace("STRANGER", certificates.stranger).replace("'CA'", f"'{certificates.chain}'")
    database = _laravel(secure_mariadb, f"'options' => [{options}]", **changes)
    with pytest.raises(ConfigurationError, match=said) as caught:
        _check(app(database, "database").database())
    assert "DB_HOST" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    ["'sslmode' => 'require'", "'sslmode' => 'verify-full', 'sslrootcert' => 'CA'",
     "'sslmode' => 'verify-ca', 'sslrootcert' => 'CA', 'sslcert' => 'CA', 'sslkey' => 'KEY'"],
)  # fmt: skip
def test_postgresql_options_count(
    app: MakeApp, secure_postgres: services.Database, certificates: Certificates, options: str
) -> None:
    options = options.replace("'CA'", f"'{certificates.chain}'").replace("'KEY'", f"'{certificates.key}'")
    assert _check(app(_laravel(secure_postgres, options), "database").database())
    assert _check(app(_laravel(secure_postgres, "'sslmode' => 'disable'"), "database").database()) == ""


def test_a_postgresql_certificate_that_is_not_trusted_is_named_as_the_cause(
    app: MakeApp, secure_postgres: services.Database, certificates: Certificates
) -> None:
    options = f"'sslmode' => 'verify-full', 'sslrootcert' => '{certificates.stranger}'"
    with pytest.raises(ConfigurationError, match=r"TLS to the database .*not trusted.*sslrootcert") as caught:
        _check(app(_laravel(secure_postgres, options), "database").database())
    assert "DB_HOST" not in str(caught.value)


def test_a_postgresql_without_tls_is_named_as_the_cause(
    app: MakeApp, postgres_database: services.Database
) -> None:
    with pytest.raises(ConfigurationError, match=r"does not speak TLS.*sslmode"):
        _check(app(_laravel(postgres_database, "'sslmode' => 'require'"), "database").database())
