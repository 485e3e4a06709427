"""The configuration from environment variables. An invalid value prevents the start."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from apps.expireeye.frequency import Frequency, frequency
from apps.zones import is_time_zone
from duly.errors import TriggerError


class SettingsError(ValueError):
    """The value of a variable is not valid; the message begins with the variable's name."""


class Settings(BaseModel):
    """The configuration. Each field is set by the variable of the same name in upper case.

    Attributes:
        environment: ``production`` requires a ``JWT_SECRET``.
        expiry_check_frequency: ``10s``, ``minute``, ``hour``, ``daily``, or cron fields. A change
            made by an operator at run time takes precedence until it is reset.
        misfire_grace_seconds: how late a tick may still run; the default depends on the frequency.
        allowed_origins: allowed origins of sockets besides the site's own, separated by commas.
        metrics_networks: the networks that may read ``/metrics``, separated by commas.
        scheduler_heartbeat: Duly's profile; ``fast`` detects a dead process within seconds.
    """

    model_config = ConfigDict(
        frozen=True, alias_generator=str.upper, validate_by_name=True, validate_by_alias=True
    )

    environment: Literal["development", "production"] = "development"
    database_url: str = "sqlite:///var/expireeye.db"
    expiry_check_frequency: str = "10s"
    scheduler_enabled: bool = True
    scheduler_timezone: str = "UTC"
    scheduler_heartbeat: Literal["normal", "fast"] = "normal"
    expiry_batch_size: int = Field(500, ge=1, le=10_000)
    misfire_grace_seconds: float | None = Field(None, ge=0)
    shutdown_grace_seconds: float = Field(10, ge=0, le=600)
    history_retention_days: float = Field(14, gt=0)
    jwt_secret: str = ""
    allowed_origins: tuple[str, ...] = ()
    ws_max_per_user: int = Field(5, ge=1, le=100)
    metrics_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the variables; empty variables count as not set.

        Args:
            environ: the variables; default: those of this process.

        Raises:
            SettingsError: a value is not valid.
        """
        variables = os.environ if environ is None else environ
        given = {name: value for name, value in variables.items() if value}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            name = str(fault["loc"][0]).upper() if fault["loc"] else "JWT_SECRET"
            raise SettingsError(f"{name}: {fault['msg'].removeprefix('Value error, ')}") from None

    @property
    def frequency(self) -> Frequency:
        """The configured frequency of the check."""
        declared = frequency(self.expiry_check_frequency, self.scheduler_timezone)
        grace = self.misfire_grace_seconds
        return declared if grace is None else Frequency(declared.trigger, grace)

    @field_validator("allowed_origins", "metrics_networks", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        return value

    @field_validator("metrics_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(part)) for part in value)

    @field_validator("scheduler_timezone")
    @classmethod
    def _zone(cls, value: str) -> str:
        if not is_time_zone(value):
            raise ValueError(f"{value!r} is not an IANA time zone; give for example Europe/Madrid")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _level(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("expiry_check_frequency")
    @classmethod
    def _frequency(cls, value: str) -> str:
        try:
            frequency(value, "UTC")
        except TriggerError as error:
            raise ValueError(
                f"{value!r} is not 10s, minute, hour, daily or a crontab expression: {error}"
            ) from error
        return value

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        try:
            url = make_url(value)
        except ArgumentError:
            raise ValueError(
                "not a valid database URL; give for example sqlite:///var/expireeye.db"
            ) from None
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise ValueError(f"{url.get_backend_name()} is not supported; use sqlite or postgresql")
        return value

    @model_validator(mode="before")
    @classmethod
    def _secret(cls, data: dict[str, object]) -> dict[str, object]:
        secret = data.get("JWT_SECRET") or data.get("jwt_secret")
        if secret:
            if len(str(secret)) < 32:
                raise ValueError("it must have at least 32 characters")
            return data
        production = "production" in (data.get("ENVIRONMENT"), data.get("environment"))
        if production:
            raise ValueError("it is required when ENVIRONMENT is production")
        return {**data, "JWT_SECRET": secrets.token_urlsafe(32)}
