"""A service whose server is started for the run, and ends with it."""

from __future__ import annotations

import sys

from nemo_evaluator.config.base import ConfigRecord
from nemo_evaluator.services.contract import Launch, Place
from nemo_evaluator.services.launched import Launched, open_launched


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
        about = {"fruit": options.fruit}
        return open_launched(name, self.launch(options), place, model=name, identity=about)
