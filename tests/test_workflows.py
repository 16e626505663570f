"""What GitHub, Binder and dev containers are told to do: pinned, and only what the project itself can do."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
each_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
needs_make = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def container() -> dict:
    """The dev container's settings: JSON with comments."""
    return json.loads(re.sub(r"(?m)(^|\s)//.*", "", read(".devcontainer/devcontainer.json")))


def checked_pythons() -> list[str]:
    return yaml.safe_load(read(".github/workflows/check.yml"))["jobs"]["every-python"]["strategy"]["matrix"][
        "python"
    ]


def has_target(target: str) -> bool:
    return (
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, check=False).returncode
        == 0
    )


def test_there_is_a_workflow_that_checks_and_one_that_publishes():
    assert [path.stem for path in WORKFLOWS] == ["check", "publish"]


@each_workflow
def test_every_action_is_pinned_by_commit_with_its_tag_beside_it(workflow):
    uses = re.findall(r"\buses: *(.*)", workflow.read_text(encoding="utf-8"))
    assert len(uses) == sum("uses" in step for step in steps(workflow))
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


@needs_make
@each_workflow
def test_a_workflow_runs_nothing_but_ci_run_and_targets_of_make(workflow):
    for command in [line for step in steps(workflow) for line in step.get("run", "").splitlines()]:
        if command == ".ci/run":
            assert os.access(ROOT / command, os.X_OK)
        else:
            target = re.fullmatch(r"make ([a-z]+)", command)
            assert target, command
            assert has_target(target[1]), command


@needs_make
def test_the_dev_container_is_left_with_an_environment_that_make_knows():
    assert has_target(container()["postCreateCommand"].rsplit("&& make ", 1)[1])


def test_every_python_of_the_lock_is_checked():
    first, last = re.search(r"for Python 3\.(\d+) to 3\.(\d+)\.", read("requirements.txt")).groups()
    assert checked_pythons() == [f"3.{minor}" for minor in range(int(first), int(last) + 1)]


def test_binder_and_the_dev_container_have_a_python_that_is_allowed_and_checked():
    allowed = SpecifierSet(tomllib.loads(read("pyproject.toml"))["project"]["requires-python"])
    binder = re.fullmatch(r"python-(3\.\d+)\n", read(".binder/runtime.txt"))[1]
    image = re.search(r"/python:(3\.\d+)-", container()["image"])[1]
    for python in (binder, image):
        assert python in allowed
        assert python in checked_pythons()


def test_binder_installs_the_lock_and_then_the_package_alone():
    asked = [line for line in read(".binder/requirements.txt").splitlines() if not line.startswith("#")]
    assert asked == ["-r ../requirements.txt"]
    assert os.access(ROOT / ".binder/postBuild", os.X_OK)
    assert "--no-deps" in read(".binder/postBuild")


@needs_make
def test_help_shows_every_target():
    told = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.M)[1].split()
    assert re.findall(r"^  (\w+) ", told, re.M) == targets
