"""Opens the clients of services: from a configuration to settings, transport and steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..config.endpoints import TimeoutsConfig
from ..config.proxy import ProxyConfig
from ..config.scrubber import KNOWN
from ..config.secrecy import secrets_in
from ..config.services import ApiService, SimulatedService
from ..http.client.tls import Tls
from ..http.urls import peer_name, split_credentials
from .balanced import Balanced
from .client import ModelClient
from .http import HttpTransport
from .interceptors.endpoint import EndpointOptions
from .interceptors.opening import default_interceptors, open_interceptors
from .keys import ExpiringKey
from .log import TrafficLog
from .price import Price
from .settings import DoorSettings, ModelSettings
from .transport import Transport
from .urls import base_url, endpoint_url

if TYPE_CHECKING:
    from .client import Door


class OpenTransport(Protocol):
    """Makes the transport of one endpoint: `HttpTransport`, or one of another HTTP library."""

    def __call__(
        self,
        url: str,
        protocol: str,
        *,
        api_key: str | None,
        headers: Mapping[str, str],
        max_connections: int,
        timeouts: TimeoutsConfig,
        key: ExpiringKey | None,
        tls: Tls | None,
        proxy: str | None,
    ) -> Transport:
        """``url`` may be a base URL, and may hold credentials; ``key`` replaces ``api_key`` where
        keys expire; ``proxy`` is an HTTP proxy. Raises ConfigError for what cannot be used."""


def open_http_model(
    name: str,
    service: ApiService,
    *,
    max_concurrent: int,
    transport: OpenTransport = HttpTransport,
) -> ModelClient:
    """The client of a service. ``name`` is used where no model is set. Where the service has
    replicas, each call goes to the endpoint with the fewest in flight.

    Raises ConfigError for a URL, key or header that cannot be sent, and for a bad interceptor.
    """
    service = with_endpoint_options(service)
    proxy = service.proxy or ProxyConfig()
    api_key = service.api_key.get_secret_value() if service.api_key else None
    _learn_secrets(service, proxy, api_key)
    max_concurrent = min(max_concurrent, proxy.max_concurrent_upstream)
    transports = [
        transport(
            url,
            service.protocol,
            api_key=api_key,
            headers=proxy.extra_headers,
            max_connections=max_concurrent,
            timeouts=service.timeouts.model_copy(
                update={"total": service.timeouts.total or proxy.request_timeout}
            ),
            key=_expiring_key(service),
            tls=_tls(service),
            proxy=service.http_proxy,
        )
        for url in service.urls
    ]
    clean = [split_credentials(endpoint_url(url, service.protocol))[0] for url in service.urls]
    return open_client(
        name,
        service,
        transports[0] if len(transports) == 1 else Balanced(transports),
        model=service.model or name,
        pinned=service.model is not None,
        peer=", ".join(dict.fromkeys(map(peer_name, clean))),
        upstream=base_url(clean[0]),
        max_concurrent=max_concurrent,
    )


def open_client(
    name: str,
    service: ApiService | SimulatedService,
    transport: Transport,
    *,
    model: str,
    peer: str,
    upstream: str,
    max_concurrent: int,
    pinned: bool = True,
) -> ModelClient:
    """A client of a configured service over any transport, with an HTTP door that is opened when
    it is first asked for. Raises ConfigError for a bad interceptor."""
    proxy, price = service.proxy or ProxyConfig(), service.price
    settings = ModelSettings(
        model=model,
        protocol=service.protocol,
        service=name,
        peer=peer,
        upstream=upstream,
        tokenizer=service.tokenizer,
        pinned=pinned,
        params={**proxy.extra_body, **service.generation.params()},
        stream=service.stream,
        price=Price(price.prompt, price.completion, price.cached) if price else None,
        max_input_tokens=service.max_input_tokens,
        max_output_tokens=service.max_output_tokens,
        max_concurrent=min(max_concurrent, proxy.max_concurrent_upstream),
        max_retries=proxy.max_retries,
        retry_on_status=tuple(proxy.retry_on_status),
        max_outage=proxy.max_outage,
        door=DoorSettings(
            tuple(proxy.pass_through), tuple(proxy.allowed_origins), tuple(proxy.allowed_hosts)
        ),
    )
    keeps = proxy.model_traffic.kept != "off"
    return ModelClient(
        settings,
        transport,
        steps=open_interceptors(default_interceptors(proxy)),
        traffic=TrafficLog(proxy.model_traffic) if keeps else None,
        make_door=_door,
    )


def _door(model: ModelClient) -> Door:
    from .door.server import ProxyServer

    return ProxyServer(model)


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
        "urls": list(service.urls),
        "http_proxy": service.http_proxy,
        "headers": proxy.extra_headers,
        "body": proxy.extra_body,
        "generation": service.generation.params(),
        "interceptors": [dict(listed.config) for listed in proxy.interceptors],
    }
    KNOWN.learn(*secrets_in(settings))
