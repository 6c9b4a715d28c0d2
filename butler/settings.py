"""`Settings`: arguments over ``BUTLER_*`` variables over ``butler.toml`` over defaults.

Nothing else in Butler reads the environment, not even the commands: their options are arguments
like any other. Each secret may also stand in a file that ``<VARIABLE>_FILE`` names, as container
platforms hand them out. docs/configuration.md is made of what is written here.
"""

from __future__ import annotations

import os
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from butler.codec import MAX_BYTES
from butler.durations import LONGEST_DAYS
from butler.errors import SettingsError, did_you_mean
from butler.options import BUILT_IN, MAX_ATTEMPTS, MAX_TIMEOUT_S, TaskDefaults
from butler.pushing import PUSH_TIMEOUT_S, REST_S
from butler.queue_names import DEFAULT_QUEUE
from butler.setting_sources import PREFIX, TOML_FILE, SecretFiles, file_of, secrets_of, variable_of
from butler.setting_types import CaptureLevel, LogFormat, LogLevel, QueueNames, retention_of
from butler.storage.retention import DEFAULT_DAYS, Retention


class Settings(BaseSettings):
    """What a process needs to know; made by `load_settings`. Secrets are masked in its repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, toml_file=TOML_FILE, extra="forbid", frozen=True, env_ignore_empty=True
    )

    # Servers

    redis_url: SecretStr | None = Field(
        None,
        description="`redis://`, `rediss://` (TLS), `unix://`, `redis+sentinel://` or "
        "`rediss+sentinel://`; see [Redis](#redis)",
    )
    redis_timeout_s: float = Field(
        5.0, gt=0, le=60, description="how long a worker, scheduler or command waits for Redis"
    )
    redis_push_timeout_s: float = Field(
        PUSH_TIMEOUT_S,
        gt=0,
        le=60,
        description="how long an enqueue waits for Redis; the work is safe anyway",
    )
    redis_rest_s: float = Field(
        REST_S,
        ge=0,
        le=3600,
        description="how long enqueues leave Redis alone after it failed; the scheduler pushes "
        "what is enqueued meanwhile",
    )
    database_url: SecretStr | None = Field(
        None,
        description="`postgresql://user:password@host:port/database`, with libpq's parameters; see "
        "[PostgreSQL](#postgresql)",
    )
    database_schema: str = Field(
        "butler",
        pattern=r"^[a-z_][a-z0-9_]{0,62}$",
        description="the schema that holds Butler's tables: one for each application that shares "
        "a database",
    )
    migrate: Literal["never", "auto"] = Field(
        "never",
        description="`auto` brings the schema up to date at start; `never` leaves that to "
        "`butler migrate`",
    )
    pool_size: int = Field(
        4, ge=1, le=100, description="the most connections to Postgres of each process"
    )
    command_timeout_s: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="how long one step may wait for Postgres, reconnecting and repeating",
    )
    prepared_statements: bool = Field(
        True,
        description="`false` for a pooler that does not show itself; PgBouncer is noticed",
    )
    database_direct_url: SecretStr | None = Field(
        None,
        description="the same database past any pooler, where the scheduler listens for "
        "transactional enqueues; without it, `database_url` unless a pooler is there",
    )
    notify: bool = Field(
        True,
        description="`false` keeps transactional enqueues from sending a NOTIFY, which makes "
        "commits that send one wait for each other; then they are found within a second",
    )
    unique_wait_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="how long an enqueue waits for a unique key that an open transaction has "
        "written, before it raises `UniqueKeyBusy`",
    )
    max_progress_updates: int = Field(
        100, ge=1, le=100_000, description="how many progress reports of one execution are kept"
    )
    retention_days: float = Field(
        DEFAULT_DAYS,
        gt=0,
        le=LONGEST_DAYS,
        description="how long finished executions are kept; the scheduler removes older ones",
    )
    retention_succeeded_days: float | None = retention_of("succeeded")
    retention_failed_days: float | None = retention_of("failed")
    retention_cancelled_days: float | None = retention_of("cancelled")

    # Tasks

    task_timeout_s: float = Field(
        BUILT_IN.timeout_s,
        gt=0,
        le=MAX_TIMEOUT_S,
        description="the time limit of tasks that state none",
    )
    max_attempts: int = Field(
        BUILT_IN.max_attempts,
        ge=1,
        le=MAX_ATTEMPTS,
        description="how often tasks without a `retry` of their own are tried",
    )
    max_request_bytes: int = Field(
        MAX_BYTES, ge=1, le=64 * MAX_BYTES, description="the longest request, as JSON"
    )
    max_result_bytes: int = Field(
        MAX_BYTES, ge=1, le=64 * MAX_BYTES, description="the longest result, as JSON"
    )

    capture_log_level: CaptureLevel = Field(
        "info",
        description="what tasks log from this level on is kept with their executions; `off` keeps "
        "nothing",
    )
    capture_print: bool = Field(
        False, description="`true` also keeps what tasks write to stdout and stderr"
    )

    # Alerts

    alert_channels: SecretStr | None = Field(
        None,
        description="where alerts are told: `name=URL`, separated by spaces or lines; see "
        "[alert channels](alerts.md#channels)",
    )
    alert_webhook_secret: SecretStr | None = Field(
        None, description="what webhooks are signed with"
    )
    alert_allow_private: bool = Field(
        False,
        description="`true` lets webhooks go to loopback, private and link-local addresses",
    )
    web_public_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s]+$",
        description="where people reach the console, for links in messages",
    )

    # Commands

    app: str | None = Field(
        None, description="where your Butler is: `module:name`, a factory, or a module with one"
    )
    app_dir: str | None = Field(
        None, description="the folder to import the app from; the current one without it"
    )
    log_level: LogLevel = Field("info", description="what the commands log to stderr")
    log_format: LogFormat = Field(
        "console", description="how: lines for people, or `json`, an object a line"
    )

    # Workers and schedulers

    queues: QueueNames = Field(
        DEFAULT_QUEUE,
        description="the queues to serve, first before second; `*` for those of all tasks",
    )
    processes: int | None = Field(
        None, ge=1, le=256, description="worker processes; without it, the CPUs it may use"
    )
    concurrency: int = Field(16, ge=1, le=10_000, description="executions at once in each process")
    drain_timeout_s: float = Field(
        25.0,
        ge=0,
        le=86_400,
        description="how long running tasks may go on after SIGTERM before they are handed back",
    )
    grace_s: float = Field(
        10.0,
        ge=0,
        le=86_400,
        description="how long a task may go on after its timeout before its process is ended",
    )
    max_executions: int | None = Field(
        None, ge=1, description="replace a worker process, gracefully, after so many executions"
    )
    max_memory_mb: int | None = Field(
        None,
        ge=1,
        description="replace a worker process, gracefully, when it occupies more than so many MiB",
    )
    http_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="where a worker or scheduler answers `/livez`, `/readyz` and `/metrics`, not "
        "at all without it; each on a host needs one of its own, and 0 takes any that is free",
    )
    http_host: str = Field("127.0.0.1", description="the address for `http_port`")
    lease_s: float = Field(
        15.0,
        ge=1,
        le=3600,
        description="how long a worker may be silent before its work is given to others; the same "
        "for all workers and schedulers of a ledger",
    )
    heartbeat_s: float | None = Field(
        None,
        gt=0,
        le=1200,
        description="how often a worker says that it lives; without it, a third of `lease_s`, "
        "which is also the most",
    )
    leader_lease_s: float = Field(
        4.0,
        ge=1,
        le=3600,
        description="how long a leading scheduler may be silent before another takes over; the "
        "same for all schedulers of a ledger",
    )

    # The REST API

    web_host: str = Field("127.0.0.1", description="the address `butler web` serves on")
    web_port: int = Field(8000, ge=0, le=65_535, description="the port `butler web` serves on")
    web_cors_origins: str | None = Field(None, description="origins whose pages may call the API")
    web_trusted_proxies: str | None = Field(None, description="whose `X-Forwarded-For` is believed")
    secret_names: str | None = Field(
        None, description="more fields that are shown as `***`; see [the REST API](rest-api.md)"
    )

    # Clients of the REST API

    url: str | None = Field(
        None,
        description="where `butler web` is reached, for a [client](client.md): `https://…`",
    )
    token: SecretStr | None = Field(None, description="what a client shows it")

    @model_validator(mode="after")
    def _check_heartbeat(self) -> Self:
        if self.heartbeat_every_s > self.lease_s / 3:
            raise ValueError(
                f"heartbeat_s must be at most a third of lease_s ({self.lease_s:g}), so that a "
                f"lost heartbeat or two cost nobody his lease; got {self.heartbeat_every_s:g}"
            )
        return self

    def need_redis_url(self) -> str:
        """The URL in clear; raises `SettingsError` when there is none."""
        return _needed("redis_url", self.redis_url)

    def need_database_url(self) -> str:
        """The URL in clear; raises `SettingsError` when there is none."""
        return _needed("database_url", self.database_url)

    @property
    def retention(self) -> Retention:
        """How long what is over is kept, by how it ended."""
        return Retention(
            succeeded=self.retention_succeeded_days or self.retention_days,
            failed=self.retention_failed_days or self.retention_days,
            cancelled=self.retention_cancelled_days or self.retention_days,
        )

    @property
    def direct_url(self) -> str | None:
        """`database_direct_url` in clear."""
        url = self.database_direct_url
        return None if url is None else url.get_secret_value()

    @property
    def heartbeat_every_s(self) -> float:
        """Seconds from one heartbeat to the next."""
        return self.lease_s / 3 if self.heartbeat_s is None else self.heartbeat_s

    @property
    def task_defaults(self) -> TaskDefaults:
        """What holds for tasks that do not say it themselves."""
        return TaskDefaults(max_attempts=self.max_attempts, timeout_s=self.task_timeout_s)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic passes all by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """In order of precedence."""
        toml = TomlConfigSettingsSource(settings_cls)
        return (init_settings, env_settings, SecretFiles(settings_cls), toml)


SECRETS = secrets_of(Settings)


def load_settings(**arguments: Any) -> Settings:
    """Read everything; an argument that is None counts as not given.

    Raises `SettingsError`, naming what is wrong and where it may come from; never a secret.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        return Settings(**given)
    except SettingsError:
        raise
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors(include_input=False))
        raise SettingsError(f"settings cannot be used: {problems}") from None
    except ValueError as error:
        # A butler.toml that is no TOML.
        raise SettingsError(f"settings cannot be read: {error}") from error


def origins(**arguments: Any) -> dict[str, str]:
    """Where each setting's value comes from; ``arguments`` as `load_settings` has taken them."""
    variables = EnvSettingsSource(Settings, env_prefix=PREFIX, env_ignore_empty=True)()
    toml = TomlConfigSettingsSource(Settings)()
    found = {}
    for name in Settings.model_fields:
        if arguments.get(name) is not None:
            found[name] = "argument"
        elif name in variables:
            found[name] = variable_of(name)
        elif (path := secret_file(name)) is not None:
            found[name] = f"{variable_of(name)}_FILE={path}"
        else:
            found[name] = TOML_FILE if name in toml else "default"
    return found


def unknown_variables() -> list[str]:
    """``BUTLER_*`` variables that are no setting: most likely misspelt; with what was meant."""
    known = {variable_of(name) for name in Settings.model_fields}
    known |= {f"{variable_of(name)}_FILE" for name in SECRETS}
    names = sorted(name for name in os.environ if name.startswith(PREFIX))
    return [f"{name}{did_you_mean(name, known)}" for name in names if name.upper() not in known]


def secret_file(name: str) -> str | None:
    """The file that holds a secret, where its ``_FILE`` variable names one."""
    return file_of(name) if name in SECRETS else None


def _problem(detail: Any) -> str:
    name = ".".join(str(step) for step in detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"no setting {name!r}{did_you_mean(name, Settings.model_fields)}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"{name} ({variable_of(name)}): {message}" if name else message


def _needed(name: str, value: SecretStr | None) -> str:
    if value is None:
        variable = variable_of(name)
        raise SettingsError(
            f"no {name} is set: pass Butler({name}=...), set {variable} or {variable}_FILE, "
            f"or write it into {TOML_FILE}; without a server, `butler dev` runs one and says where"
        )
    return value.get_secret_value()
