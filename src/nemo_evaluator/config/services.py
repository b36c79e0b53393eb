"""All kinds of services, and the unions a configuration is validated against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..kinds import SERVICES
from .agents import GymResourceService, NatAgentService
from .custom_service import CustomService
from .endpoints import (
    SUFFIXES,
    ApiProtocol,
    ApiService,
    ModelFields,
    PriceConfig,
    SimulatedService,
    TimeoutsConfig,
)
from .plugins import ByType, PluginFields
from .servers import (
    DockerModelService,
    DynamoService,
    DynamoWorkerConfig,
    ManagedModelFields,
    NimService,
    SglangService,
    TrtLlmService,
    VllmService,
)
from .simulated import FaultsConfig, LatencyConfig, TokensConfig

__all__ = [
    "SUFFIXES",
    "ApiProtocol",
    "ApiService",
    "CustomService",
    "DockerModelService",
    "DynamoService",
    "DynamoWorkerConfig",
    "FaultsConfig",
    "GymResourceService",
    "LatencyConfig",
    "ManagedModelFields",
    "ModelFields",
    "ModelService",
    "NatAgentService",
    "NimService",
    "PluginService",
    "PriceConfig",
    "Service",
    "SglangService",
    "SimulatedService",
    "TimeoutsConfig",
    "TokensConfig",
    "TrtLlmService",
    "VllmService",
]

ModelService = (
    ApiService
    | SimulatedService
    | VllmService
    | SglangService
    | NimService
    | TrtLlmService
    | DockerModelService
    | DynamoService
)


class PluginService(ModelFields, PluginFields):
    """A service of an installed package, or your own (``type: module:Class``).

    Further fields are its options."""

    model_config = PluginFields.model_config  # of several bases the last one's would count
    kind = SERVICES
    depends_on: list[str] = Field(default_factory=list)
    """Services that must be up before."""


Service = Annotated[
    ModelService | GymResourceService | NatAgentService | CustomService | PluginService,
    ByType(SERVICES),
]
