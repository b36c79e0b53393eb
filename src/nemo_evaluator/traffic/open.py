"""Opens the client of an endpoint that is already running."""

from __future__ import annotations

from typing import Any

from ..config.proxy import ProxyConfig
from ..config.scrubber import KNOWN
from ..config.secrecy import secrets_in
from ..config.services import ApiService
from ..http.client.tls import Tls
from .client import ModelClient
from .http import HttpTransport
from .interceptors.endpoint import EndpointOptions
from .keys import ExpiringKey
from .urls import base_url


def open_http_model(name: str, service: ApiService, *, max_concurrent: int) -> ModelClient:
    """The client of a service. ``name`` is used where no model is set.

    Raises ConfigError for a URL, key or header that cannot be sent, and for a bad interceptor.
    """
    service = with_endpoint_options(service)
    proxy = service.proxy or ProxyConfig()
    api_key = service.api_key.get_secret_value() if service.api_key else None
    _learn_secrets(service, proxy, api_key)
    transport = HttpTransport(
        service.url,
        service.protocol,
        api_key=api_key,
        headers=proxy.extra_headers,
        max_connections=min(max_concurrent, proxy.max_concurrent_upstream),
        timeouts=service.timeouts.model_copy(
            update={"total": service.timeouts.total or proxy.request_timeout}
        ),
        key=_expiring_key(service),
        tls=_tls(service),
        proxy=service.http_proxy,
    )
    return ModelClient(
        service.model or name,
        service,
        transport,
        peer=transport.peer,
        max_concurrent=max_concurrent,
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
                outer |= {"api_key": value, "api_key_command": None}
            else:
                inner[{"max_concurrent": "max_concurrent_upstream"}.get(name, name)] = value
    if inner:
        outer["proxy"] = proxy.model_copy(update=inner)
    return service.model_copy(update=outer) if outer else service


def _expiring_key(service: ApiService) -> ExpiringKey | None:
    command = service.api_key_command
    return ExpiringKey.of(command, service.api_key_ttl) if command is not None else None


def _tls(service: ApiService) -> Tls | None:
    tls = Tls(service.ca_file, service.client_cert, service.client_key)
    return tls if tls != Tls() else None


def _learn_secrets(service: ApiService, proxy: ProxyConfig, api_key: str | None) -> None:
    """Tell all writers what they must not write; a service made in Python passed no loader."""
    settings = {
        "api_key": api_key,
        "url": service.url,
        "http_proxy": service.http_proxy,
        "headers": proxy.extra_headers,
        "body": proxy.extra_body,
        "generation": service.generation.params(),
        "interceptors": [dict(listed.config) for listed in proxy.interceptors],
    }
    KNOWN.learn(*secrets_in(settings))
