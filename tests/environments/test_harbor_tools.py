"""What an agent changed is set back only where tests are run with it; its work stays."""

from __future__ import annotations

import pytest

from nemo_evaluator.environments.harbor.tools import plan_of
from nemo_evaluator.sandboxes.contract import Change

LIBRARY = "/usr/lib/python3.11"


def lines(*paths: str) -> list[str]:
    return plan_of([Change(path=path, added=True) for path in paths], "/app").lines


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/python3.11",
        "/bin/sh",
        f"{LIBRARY}/unittest/case.py",
        "/usr/lib/python3/dist-packages/_pytest/main.py",
        "/usr/local/lib/python3.13/site-packages/pluggy/_hooks.py",
        "/etc/ld.so.preload",
        "/conftest.py",
    ],
)
def test_what_the_image_has_is_restored(path: str) -> None:
    assert plan_of([Change(path=path, added=False)], "/app").restored == [path]


def test_what_the_container_runs_by_itself_is_restored() -> None:
    for path, word in (("/e.sh", "/e.sh"), ("/usr/local/bin/start.sh", "start.sh")):
        change = Change(path=path, added=False)
        assert plan_of([change], "/app", [word]).restored == [path]
        assert plan_of([change], "/app").restored == []


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/bin/pytest",
        "/root/.local/bin/uvx",
        "/usr/lib/python3/dist-packages/sitecustomize.py",
        f"{LIBRARY}/pytest.py",
        f"{LIBRARY}/__pycache__/json.cpython-311.pyc",
        "/conftest.py",
        "/pytest.ini",
        "/app/pytest.py",
    ],
)
def test_what_takes_the_place_of_a_tool_is_removed(path: str) -> None:
    assert lines(path) == [f"remove {path}"]


def test_a_command_is_removed_only_where_the_image_has_it() -> None:
    [line] = lines("/usr/local/bin/python3")
    assert line.startswith("shadow /usr/local/bin/python3 /usr/local/sbin/python3 ")
    [line] = lines("/usr/lib/python3/dist-packages/x.pth")
    assert line == "pth /usr/lib/python3/dist-packages/x.pth"


@pytest.mark.parametrize(
    "path",
    [
        "/app/solution.py",
        "/app/conftest.py",
        "/usr/local/bin/my-server",
        "/usr/sbin/nginx",
        "/usr/lib/python3/dist-packages/numpy/__init__.py",
        f"{LIBRARY}/ensurepip/__init__.py",
        "/etc/nginx/nginx.conf",
        "/usr/local/bin/with space",
    ],
)
def test_the_work_of_an_agent_stays(path: str) -> None:
    assert lines(path) == []


def test_another_python_of_the_agents_stays() -> None:
    new = "/usr/local/lib/python3.13"
    assert lines("/usr/local/bin/python3.13", new, f"{new}/json", f"{new}/pytest.py")[1:] == []


def test_changed_packages_of_others_stay() -> None:
    packages = [f"{LIBRARY}/site-packages", f"{LIBRARY}/site-packages/requests/api.py"]
    assert plan_of([Change(path=p, added=False) for p in packages], "/app").restored == []


def test_a_library_that_was_changed_everywhere_is_restored_as_a_whole() -> None:
    many = [Change(path=f"{LIBRARY}/m{n}.py", added=False) for n in range(60)]
    other = Change(path="/usr/bin/env", added=False)
    assert plan_of([*many, other], "/app").restored == [LIBRARY, "/usr/bin/env"]
