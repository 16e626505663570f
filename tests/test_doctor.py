"""Each thing that can be amiss is found, and told with the command that mends it."""

import importlib.metadata
import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit import doctor
from toolkit.__main__ import main


def failures(folder=None):
    return {check.what: check for check in doctor.examine(folder) if check.failed}


@pytest.fixture(autouse=True)
def enough(monkeypatch):
    """What the computer that runs the tests happens to have free isn't the question."""
    monkeypatch.setattr(doctor, "_free_memory", lambda: 8.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=50e9))


def test_where_the_tests_run_nothing_is_amiss(capsys):
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.endswith("The chapters can run here.\n")


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    (check,) = failures().values()
    assert check.found == "3.9.2, 3.11 or later is needed"
    assert check.mend.startswith("python3.12 -m venv .venv && .venv/bin/python -m pip install")


def test_the_exit_code_of_a_failure_is_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    assert main(["doctor"]) == 1
    assert "1 to mend" in capsys.readouterr().out


def versions(monkeypatch, **changed):
    """Other installed versions; None for a package that isn't there."""
    real = importlib.metadata.version

    def version(name):
        if name in changed and changed[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return changed.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


def test_a_missing_package(monkeypatch, tmp_path):
    versions(monkeypatch, duckdb=None)
    check = failures(tmp_path)["duckdb"]
    assert check.found == "is missing, >=1.4 is needed"
    assert check.mend == doctor.install(tmp_path, "duckdb>=1.4")
    (tmp_path / "requirements.txt").write_text("duckdb==1.4.0\n")
    assert failures(tmp_path)["duckdb"].mend.endswith(
        f"-m pip install --require-hashes -r {tmp_path / 'requirements.txt'}"
    )


def test_a_package_of_too_early_a_version(monkeypatch):
    versions(monkeypatch, pandas="1.5.3")
    assert failures()["pandas"].found == "1.5.3, >=2.2 is needed"


def test_a_package_that_is_there_and_does_not_load(monkeypatch):
    real = importlib.import_module

    def broken(name, *rest):
        if name == "pyarrow":
            raise OSError("libarrow.so: cannot open")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", broken)
    check = failures()["pyarrow"]
    assert check.found == "doesn't import: OSError: libarrow.so: cannot open"
    assert "pip install --force-reinstall" in check.mend


def test_another_version_than_the_lock_s_is_a_note(tmp_path):
    (tmp_path / "requirements.txt").write_text("pandas==0.1 \\\n    --hash=sha256:0\n# a comment\n")
    (note,) = [check for check in doctor.examine(tmp_path) if check.what == "pandas"]
    assert not note.failed
    assert "0.1 is what the book was made with" in note.found
    assert "note   pandas" in doctor.report([note])


def test_the_package_itself_is_not_installed(monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert failures(tmp_path)[doctor.PACKAGE].mend.endswith("--no-deps --no-build-isolation --editable .")
    (tmp_path / "improving_ml_toolkit-0.1.0-py3-none-any.whl").touch()
    assert failures(tmp_path)[doctor.PACKAGE].mend.endswith("improving_ml_toolkit-0.1.0-py3-none-any.whl")


def test_packaging_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert failures()["packaging"].found == "is missing"


def test_no_kernel(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", None)
    check = failures()["Jupyter kernel"]
    assert "ipykernel" in check.found
    assert "pip install" in check.mend


@pytest.mark.parametrize(
    ("specs", "found"),
    [
        ({}, "there is none named python3"),
        ({"python3": ""}, "python3 starts another Python, /other/bin/python"),
    ],
)
def test_no_kernel_of_this_python(monkeypatch, tmp_path, specs, found):
    from jupyter_client.kernelspec import KernelSpecManager

    (tmp_path / "kernel.json").write_text(json.dumps({"argv": ["/other/bin/python", "-m"]}))
    specs = {name: str(tmp_path) for name in specs}
    monkeypatch.setattr(KernelSpecManager, "find_kernel_specs", lambda _: specs)
    check = failures()["Jupyter kernel"]
    assert check.found == found
    assert check.mend == f"{sys.executable} -m ipykernel install --sys-prefix --name python3"


def test_a_widget_s_package_is_missing(monkeypatch):
    versions(monkeypatch, anywidget=None)
    assert failures()["widgets"].found == "anywidget is missing"


def test_jupyterlab_does_not_find_a_widget_s_script(monkeypatch):
    monkeypatch.setattr(doctor, "_extension_folders", lambda: [Path("/nowhere")])
    check = failures()["widgets"]
    assert "JupyterLab doesn't find anywidget" in check.found
    assert "--force-reinstall" in check.mend


def test_too_little_memory(monkeypatch):
    monkeypatch.setattr(doctor, "_free_memory", lambda: 0.5)
    assert failures()["memory"].found == "0.5 GB free, 2 GB are needed"
    monkeypatch.setattr(doctor, "_free_memory", lambda: None)
    assert not failures()


def test_a_full_disk(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0.1e9))
    assert failures()["disk"].mend.startswith("free space on the disk of ")


def test_without_chromium_and_redis_the_chapters_run(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    told = {check.what: check for check in doctor.examine()}
    assert not any(check.failed for check in told.values())
    assert re.search(r"install chromium$", told["Chromium"].mend)
    assert "only tests of the Redis store need it" in told["Redis"].found


def test_a_check_that_breaks_is_a_failure_and_the_others_are_still_told(monkeypatch):
    def broken():
        raise RuntimeError("no such file")

    monkeypatch.setattr(doctor, "_free_memory", broken)
    told = doctor.examine()
    assert {check.what: check.found for check in told if check.failed} == {
        "memory": "RuntimeError: no such file"
    }
    assert told[-1].what == "Redis"


def test_help_says_what_is_checked(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", "--help"])
    assert stopped.value.code == 0
    assert "Each failure is printed with the command that mends it" in " ".join(
        capsys.readouterr().out.split()
    )
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
