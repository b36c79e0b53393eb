"""All kinds of services, and the unions a configuration is validated against."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .agents import CustomService, GymResourceService, NatAgentService
from .endpoints import (
    SUFFIXES,
    ApiProtocol,
    ApiService,
    ModelFields,
    PriceConfig,
    SimulatedService,
    TimeoutsConfig,
)
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
Service = Annotated[
    ModelService | GymResourceService | NatAgentService | CustomService,
    Field(discriminator="type"),
]
