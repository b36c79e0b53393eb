"""Our transports, and one over another library, keep the contract that any transport must keep."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp_transport import AiohttpTransport

from nemo_evaluator.testing.transports import TransportContract
from nemo_evaluator.traffic.balanced import Balanced
from nemo_evaluator.traffic.http import HttpTransport
from nemo_evaluator.traffic.open import OpenTransport
from nemo_evaluator.traffic.transport import Transport


class TestHttp(TransportContract):
    @pytest.fixture
    def open_transport(self) -> OpenTransport:
        return HttpTransport


class TestBalanced(TransportContract):
    @pytest.fixture
    def open_transport(self) -> OpenTransport:
        def opened(url: str, protocol: str, **options: Any) -> Transport:
            return Balanced([HttpTransport(url, protocol, **options)])

        return opened


class TestAiohttp(TransportContract):
    @pytest.fixture
    def open_transport(self) -> OpenTransport:
        return AiohttpTransport
