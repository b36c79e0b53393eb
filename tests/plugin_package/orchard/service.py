"""A service whose server is started for the run, and ends with it."""

from __future__ import annotations

import sys

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.services.contract import Launch, Place
from nemo_evaluator.services.custom import filled_in
from nemo_evaluator.services.endpoint import http_client, model_identity
from nemo_evaluator.services.launched import Launched, launched_transport
from nemo_evaluator.services.supervisor import HOST, Supervisor, free_port

PROTOCOL = "chat_completions"


class Gardener:
    """Starts ``orchard.server``."""

    class Options(ConfigRecord):
        """What is served."""

        fruit: str
        """The answer to every question."""

    def launch(self, options: Options) -> Launch:
        """The server."""
        words = (sys.executable, "-m", "orchard.server", "{port}", options.fruit)
        return Launch(argv=words, health_path="/health", startup_timeout=30)

    def open(self, name: str, options: Options, place: Place) -> Launched:
        """The server, which is started before the first request."""
        launch = filled_in(self.launch(options), free_port(), name)
        log = None if place.folder is None else place.folder / f"service_{name}.log"
        supervisor = Supervisor(name, launch, log, tuple(place.needs.values()))
        url = f"http://{HOST}:{launch.port}/v1"
        transport = launched_transport(supervisor)
        client = http_client(name, place, url, transport=transport, model=name, http_proxy="direct")
        identity = {**model_identity(place.fields, PROTOCOL), "fruit": options.fruit}
        return Launched(client, supervisor, protocol=PROTOCOL, identity=identity, url=url)
