"""The options of `endpoint`, where a configuration lists it among the interceptors."""

from __future__ import annotations

from typing import Any

from pydantic import Field, SecretStr, field_validator

from ...config.base import ConfigRecord
from ...config.endpoints import check_url
from ...config.proxy import check_statuses


class EndpointOptions:
    """What stands here wins over the same field of the service or its `proxy`."""

    class Options(ConfigRecord):
        """The endpoint is always the last step, wherever it is listed."""

        upstream_url: str | None = None
        """Address of the endpoint."""
        api_key: SecretStr | None = None
        """Bearer key."""
        extra_body: dict[str, Any] | None = None
        """Fields added to every request body; what a request sets itself wins."""
        extra_headers: dict[str, str] | None = None
        """Headers added to every request."""
        request_timeout: float | None = Field(None, gt=0)
        """Seconds for one try."""
        max_retries: int | None = Field(None, ge=0)
        """Tries after the first, for one request."""
        retry_on_status: list[int] | None = None
        """HTTP statuses that are tried again; failed connections always are."""
        max_concurrent: int | None = Field(None, ge=1)
        """Most requests in flight."""

        @field_validator("upstream_url")
        @classmethod
        def _is_url(cls, url: str | None) -> str | None:
            return check_url(url) if url is not None else None

        @field_validator("retry_on_status")
        @classmethod
        def _are_failures(cls, statuses: list[int] | None) -> list[int] | None:
            return check_statuses(statuses) if statuses is not None else None
