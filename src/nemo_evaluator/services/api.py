"""`api`: an endpoint that is already running."""

from __future__ import annotations

from ..config.endpoints import ApiService
from ..traffic.open import open_http_model
from ..traffic.urls import is_reward_url
from .contract import Place
from .endpoint import Endpoint, model_identity, without_credentials


class Api:
    """The kind of service that needs no start."""

    def launch(self, options: ApiService) -> None:
        """Nothing is started."""

    def open(self, name: str, options: ApiService, place: Place) -> Endpoint:
        """See ``ServiceKind``."""
        asked = options
        if is_reward_url(options.url):
            asked = options.model_copy(update={"protocol": "rewards"})
        return Endpoint(
            open_http_model(name, asked, max_concurrent=place.max_concurrent),
            protocol=options.protocol,
            identity=model_identity(options, options.protocol),
            endpoints=tuple(map(without_credentials, options.urls)),
        )
