"""Opens the client of an endpoint that is already running."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config.proxy import ProxyConfig
from ..config.secrecy import MIN_LENGTH, secret_field, url_password
from ..config.services import ApiService
from .client import ModelClient
from .http import HttpTransport
from .interceptors.endpoint import EndpointOptions
from .urls import base_url


def open_http_model(name: str, service: ApiService, *, max_concurrent: int) -> ModelClient:
    """The client of a service. ``name`` is used where no model is set.

    Raises ConfigError for a URL, key or header that cannot be sent, and for a bad interceptor.
    """
    service = with_endpoint_options(service)
    proxy = service.proxy or ProxyConfig()
    api_key = service.api_key.get_secret_value() if service.api_key else None
    transport = HttpTransport(
        service.url,
        service.protocol,
        api_key=api_key,
        headers=proxy.extra_headers,
        max_connections=min(max_concurrent, proxy.max_concurrent_upstream),
        connect_timeout=service.timeouts.connect,
        first_byte_timeout=service.timeouts.first_byte,
        total_timeout=service.timeouts.total or proxy.request_timeout,
    )
    return ModelClient(
        service.model or name,
        service,
        transport,
        peer=transport.peer,
        max_concurrent=max_concurrent,
        secrets=_secrets(api_key, service.url, proxy.extra_headers),
        service_name=name,
        pinned=service.model is not None,
        upstream=base_url(transport.url),
    )


def with_endpoint_options(service: ApiService) -> ApiService:
    """The service with what its `endpoint` interceptor, if it lists one, says."""
    proxy = service.proxy or ProxyConfig()
    outer: dict[str, Any] = {}
    inner: dict[str, Any] = {}
    for listed in proxy.interceptors:
        if listed.name != "endpoint":
            continue
        options = EndpointOptions.Options.model_validate(listed.config)
        given = {name: getattr(options, name) for name in options.changed()}
        for name, value in given.items():
            if name == "upstream_url":
                outer["url"] = value
            elif name == "api_key":
                outer["api_key"] = value
            else:
                inner[{"max_concurrent": "max_concurrent_upstream"}.get(name, name)] = value
    if inner:
        outer["proxy"] = proxy.model_copy(update=inner)
    return service.model_copy(update=outer) if outer else service


def _secrets(api_key: str | None, url: str, headers: Mapping[str, str]) -> list[str]:
    texts = [api_key or "", url_password(url) or ""]
    for name, value in headers.items():
        if secret_field(name):
            texts += [value, *value.split()]  # also the key of ``Bearer <key>``
    return [text.strip() for text in texts if len(text.strip()) >= MIN_LENGTH]
