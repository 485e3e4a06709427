"""The configuration from environment variables. An invalid value prevents the start."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from apps.setting_values import checked_database, checked_key, networks_of
from duly import CatchUp, Heartbeat, Retry, frequency
from duly.errors import TriggerError


class Settings(BaseSettings):
    """The configuration. Each field is set by the variable of the same name in upper case.

    Attributes:
        environment: ``production`` requires a ``JWT_SECRET``.
        database_url: SQLite or PostgreSQL; it also contains Duly's tables.
        database_pooler: whether the URL leads to a transaction pooler such as PgBouncer.
        scheduler_enabled: whether this process fires and executes, or only serves requests.
        scheduler_coalesce: whether only the newest of several overdue times runs.
        scheduler_max_instances: how many runs of one alert may execute at once.
        scheduler_misfire_grace_seconds: how late an alert may still run.
        scheduler_max_workers: how many alerts this process executes at once.
        lease_seconds: after which a silent process is dead, so that others take over.
        default_timezone: the zone of frequencies that do not name one.
        retry_max_attempts: with the other ``retry_`` fields, the policy of alerts without their
            own.
        metrics_networks: the networks that may read ``/metrics``, separated by commas.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    environment: Literal["development", "production"] = "development"
    database_url: str = "sqlite:///var/alerts.db"
    database_pooler: bool = False
    scheduler_enabled: bool = True
    scheduler_coalesce: bool = True
    scheduler_max_instances: int = Field(1, ge=1, le=100)
    scheduler_misfire_grace_seconds: float = Field(300, ge=1)
    scheduler_max_workers: int = Field(10, ge=1, le=200)
    lease_seconds: float = Field(30, ge=3, le=3600)
    default_timezone: str = "America/Los_Angeles"
    retry_max_attempts: int = Field(3, ge=1, le=20)
    retry_base_seconds: float = Field(30, gt=0)
    retry_factor: float = Field(2, ge=1)
    retry_max_seconds: float = Field(900, gt=0)
    retry_jitter: float = Field(0.2, ge=0, le=1)
    run_timeout_seconds: float = Field(120, gt=0)
    shutdown_grace_seconds: float = Field(20, ge=0, le=600)
    history_retention_days: float = Field(90, gt=0)
    jwt_secret: SecretStr = SecretStr("")
    smtp_host: str = ""
    smtp_port: int = Field(25, ge=1, le=65535)
    smtp_sender: str = "alerts@localhost"
    metrics_networks: Annotated[tuple[str, ...], NoDecode] = ("127.0.0.0/8", "::1/128")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def retry(self) -> Retry:
        """The retry policy of alerts that have none of their own."""
        return Retry(
            attempts=self.retry_max_attempts,
            wait=self.retry_base_seconds,
            factor=self.retry_factor,
            max_wait=self.retry_max_seconds,
            jitter=self.retry_jitter,
        )

    @property
    def catch_up(self) -> CatchUp:
        """What happens to times that passed while nothing could fire."""
        return CatchUp("latest" if self.scheduler_coalesce else "all")

    @property
    def heartbeat(self) -> Heartbeat:
        """The timing of heartbeats."""
        lease = self.lease_seconds
        return Heartbeat(interval=lease / 6, lease=lease, fence=lease * 0.8, rescue=lease / 6)

    @field_validator("metrics_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return networks_of(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("default_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            frequency({"type": "daily", "time": "00:00", "timezone": value})
        except TriggerError:
            raise ValueError(f"{value!r} is not an IANA time zone") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        return checked_database(value, "sqlite", "postgresql")

    @model_validator(mode="after")
    def _secret(self) -> Self:
        key = checked_key("JWT_SECRET", self.jwt_secret, required=self.environment == "production")
        object.__setattr__(self, "jwt_secret", key)
        return self
