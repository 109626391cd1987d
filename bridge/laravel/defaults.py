"""What Laravel's own configuration says where the app has no file: only the options that bridge reads.

Up to 10 these are the files of the app skeleton; from 11 the framework carries them and lays them under the
app's (`Foundation/Bootstrap/LoadConfiguration.php`).
"""

from __future__ import annotations

from bridge.errors import Refused
from bridge.laravel.config_file import Place, slug
from bridge.laravel.config_values import Array, Unknowable, Value, to_int, to_string

# Top-level names of the framework's own `config/` from 11 on, and those options whose entries are merged.
FRAMEWORK_FILES = frozenset((
    "app", "auth", "broadcasting", "cache", "concurrency", "cors", "database", "filesystems", "hashing",
    "images", "logging", "mail", "queue", "services", "session", "view",
))  # fmt: skip
MERGED_OPTIONS = {
    "auth": ("guards", "providers", "passwords"),
    "broadcasting": ("connections",),
    "cache": ("stores",),
    "database": ("connections",),
    "filesystems": ("disks",),
    "logging": ("channels",),
    "mail": ("mailers",),
    "queue": ("connections",),
}


# Longer than others: one table, of Laravel's config files.
def framework_config(place: Place, *, generation: int, hyphens: bool) -> Array:
    """Top-level name → options, for Laravel's major version `generation`.

    `hyphens`: names made of APP_NAME are written `laravel-database-` (12.1 on), not `laravel_database_`.
    """

    def env(name: str, default: Value = None) -> Value:
        return place.variable(name, default)

    new = generation >= 11

    def named(purpose: str) -> Value:
        name, mark = to_string(env("APP_NAME", "laravel")), "-" if hyphens else "_"
        try:
            return f"{slug(name, mark)}{mark}{purpose}{mark}"
        except Refused:
            return Unknowable("APP_NAME has letters that bridge does not transliterate", ".env")

    def option(name: str, default: Value) -> Value:
        """An option that became an environment variable with 11."""
        return env(name, default) if new else default

    def app(owner: str) -> Array:
        return {
            "key": env(f"{owner}_APP_KEY"),
            "secret": env(f"{owner}_APP_SECRET"),
            "app_id": env(f"{owner}_APP_ID"),
        }

    def options_of(owner: str, host: Value) -> Array:
        """Where Laravel posts, as the framework itself says it from 11 on."""
        if not new:
            return {}
        port, scheme = env(f"{owner}_PORT", 443), env(f"{owner}_SCHEME", "https")
        return {"options": {"host": host, "port": port, "scheme": scheme, "useTLS": scheme == "https"}}

    pusher = env("PUSHER_HOST") or f"api-{to_string(env('PUSHER_APP_CLUSTER', 'mt1'))}.pusher.com"

    sql: Array = {
        "url": env("DB_URL" if new else "DATABASE_URL"),
        "host": env("DB_HOST", "127.0.0.1"),
        "database": env("DB_DATABASE", "laravel" if new else "forge"),
        "username": env("DB_USERNAME", "root" if new else "forge"),
        "password": env("DB_PASSWORD", ""),
        "prefix": "",
    }
    mysql: Array = {
        **sql,
        "port": env("DB_PORT", "3306"),
        "unix_socket": env("DB_SOCKET", ""),
        "charset": option("DB_CHARSET", "utf8mb4"),
        "collation": option("DB_COLLATION", "utf8mb4_unicode_ci"),
        "strict": True,
        "options": {1009: env("MYSQL_ATTR_SSL_CA")} if env("MYSQL_ATTR_SSL_CA") else {},
    }
    redis: Array = {
        "url": env("REDIS_URL"),
        "host": env("REDIS_HOST", "127.0.0.1"),
        "username": env("REDIS_USERNAME"),
        "password": env("REDIS_PASSWORD"),
        "port": env("REDIS_PORT", "6379"),
    }
    return {
        "app": {
            "name": env("APP_NAME", "Laravel"),
            "env": env("APP_ENV", "production"),
            "url": env("APP_URL", "http://localhost"),
            "timezone": env("APP_TIMEZONE", "UTC"),  # read from the environment by 11 alone
            "cipher": "AES-256-CBC",
            "key": env("APP_KEY"),
            "previous_keys": _keys(env("APP_PREVIOUS_KEYS")) if new else {},
            "maintenance": {
                "driver": option("APP_MAINTENANCE_DRIVER", "file"),
                "store": option("APP_MAINTENANCE_STORE", "database"),
            },
        },
        "queue": {
            "default": env("QUEUE_CONNECTION", "database" if new else "sync"),
            "connections": {
                "sync": {"driver": "sync"},
                "database": {
                    "driver": "database",
                    "connection": option("DB_QUEUE_CONNECTION", None),
                    "table": option("DB_QUEUE_TABLE", "jobs"),
                    "queue": option("DB_QUEUE", "default"),
                    "retry_after": to_int(option("DB_QUEUE_RETRY_AFTER", 90)),
                },
                "redis": {
                    "driver": "redis",
                    "connection": option("REDIS_QUEUE_CONNECTION", "default"),
                    "queue": env("REDIS_QUEUE", "default"),
                    "retry_after": to_int(option("REDIS_QUEUE_RETRY_AFTER", 90)),
                    "block_for": None,
                },
            },
            "failed": {
                "driver": env("QUEUE_FAILED_DRIVER", "database-uuids"),
                "database": env("DB_CONNECTION", "sqlite" if new else "mysql"),
                "table": "failed_jobs",
            },
        },
        "database": {
            "default": env("DB_CONNECTION", "sqlite" if new else "mysql"),
            "connections": {
                "sqlite": {
                    "driver": "sqlite",
                    "url": sql["url"],
                    "database": env("DB_DATABASE", f"{place.base}/database/database.sqlite"),
                    "prefix": "",
                },
                "mysql": {"driver": "mysql", **mysql},
                "mariadb": {"driver": "mariadb", **mysql},
                "pgsql": {
                    "driver": "pgsql",
                    **sql,
                    "port": env("DB_PORT", "5432"),
                    "charset": option("DB_CHARSET", "utf8"),
                    "search_path": "public",
                    "sslmode": option("DB_SSLMODE", "prefer"),
                },
            },
            "redis": {
                "client": env("REDIS_CLIENT", "phpredis"),
                "options": {
                    "cluster": env("REDIS_CLUSTER", "redis"),
                    "prefix": env("REDIS_PREFIX") if "REDIS_PREFIX" in place.env else named("database"),
                },
                "default": {**redis, "database": env("REDIS_DB", "0")},
                "cache": {**redis, "database": env("REDIS_CACHE_DB", "1")},
            },
        },
        "cache": {
            "default": env("CACHE_STORE", "database") if new else env("CACHE_DRIVER", "file"),
            "stores": {
                "array": {"driver": "array"},
                "database": {
                    "driver": "database",
                    "connection": option("DB_CACHE_CONNECTION", None),
                    "table": option("DB_CACHE_TABLE", "cache"),
                    "lock_connection": option("DB_CACHE_LOCK_CONNECTION", None),
                    "lock_table": option("DB_CACHE_LOCK_TABLE", None),
                },
                "file": {"driver": "file", "path": f"{place.base}/storage/framework/cache/data"},
                "redis": {
                    "driver": "redis",
                    "connection": option("REDIS_CACHE_CONNECTION", "cache"),
                    "lock_connection": option("REDIS_CACHE_LOCK_CONNECTION", "default"),
                },
            },
            "prefix": env("CACHE_PREFIX") if "CACHE_PREFIX" in place.env else named("cache"),
        },
        "broadcasting": {
            "default": env("BROADCAST_CONNECTION" if new else "BROADCAST_DRIVER", "null"),
            "connections": {
                "reverb": {"driver": "reverb", **app("REVERB"), **options_of("REVERB", env("REVERB_HOST"))},
                "pusher": {"driver": "pusher", **app("PUSHER"), **options_of("PUSHER", pusher)},
                "log": {"driver": "log"},
                "null": {"driver": "null"},
            },
        },
    }


def _keys(text: Value) -> Array:
    return dict(enumerate(key for key in to_string(text).split(",") if key not in ("", "0")))
