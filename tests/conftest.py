"""Fixtures every test may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import nel
from hypothesis import HealthCheck, settings
from loopback import loopback

from nemo_evaluator.config.scrubber import KNOWN

__all__ = ["loopback", "nel"]

# The machine may be shared: slowness of a generator is no failure of what is tested.
settings.register_profile("nel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nel")


OFFLINE = Path(__file__).resolve().parent / "support" / "offline"
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(OFFLINE), *filter(None, [os.environ.get("PYTHONPATH")])]
)
sys.path.insert(0, str(OFFLINE))
import sitecustomize  # noqa: E402  (the guard of this process, and by PYTHONPATH of its children)

if not hasattr(sitecustomize, "BeyondLoopbackError"):
    import importlib

    importlib.reload(sitecustomize)


@pytest.fixture(autouse=True)
def nothing_is_secret_any_more() -> Iterator[None]:
    """Secrets belong to the process; those of one test are not those of the next."""
    yield
    KNOWN.forget()


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with offline datasets and recorded outputs; skips where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("NEL_SHARED", default))
    if not (folder / "data").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is missing: CI runs with the shared data")
        pytest.skip("shared test data not available")
    return folder
