"""Each thing that can be amiss is found, and told with the command that mends it."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from toolkit import doctor
from toolkit.__main__ import main

FREE_MEMORY = doctor._free_memory


def failures(folder=None):
    return {check.what: check for check in doctor.examine(folder) if check.failed}


def ours(folder):
    """A folder that looks like a clone."""
    (folder / "pyproject.toml").write_text(f'[project]\nname = "{doctor.PACKAGE}"\n')
    return folder


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
    told, *commands = check.mend.splitlines()
    assert told == "install Python 3.11 or later from python.org, then"
    assert commands[-4:] == [
        "python3.12 -m venv .venv",
        ".venv/bin/python -m pip install --require-hashes -r requirements.txt",
        ".venv/bin/python -m pip install --no-deps --no-build-isolation --editable .",
        ".venv/bin/python -m toolkit doctor",
    ]


def test_an_old_python_on_windows_is_told_windows_commands(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(doctor, "os", SimpleNamespace(**vars(os) | {"name": "nt"}))
    (check,) = failures(ours(tmp_path)).values()
    assert f"cd {tmp_path}" in check.mend
    assert "py -3.12 -m venv .venv" in check.mend
    assert ".venv\\Scripts\\python -m toolkit doctor" in check.mend


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
    assert "--require-hashes" not in failures(tmp_path)["duckdb"].mend, "another project's requirements"
    assert failures(ours(tmp_path))["duckdb"].mend.endswith(
        f"-m pip install --require-hashes -r {tmp_path / 'requirements.txt'}"
    )


def test_where_somebody_handed_on_the_packages_no_network_is_needed(tmp_path):
    (ours(tmp_path) / "requirements.txt").touch()
    (tmp_path / "wheels").mkdir()
    assert doctor.install(tmp_path).endswith(
        f" --no-index --find-links {tmp_path / 'wheels'} --require-hashes -r {tmp_path / 'requirements.txt'}"
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
    (ours(tmp_path) / "requirements.txt").write_text("pandas==0.1 \\\n    --hash=sha256:0\n# a comment\n")
    (note,) = [check for check in doctor.examine(tmp_path) if check.what == "pandas"]
    assert not note.failed
    assert "0.1 is what the book was made with" in note.found
    assert "note   pandas" in doctor.report([note])


def test_the_package_itself_is_not_installed(monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    (check,) = failures(ours(tmp_path)).values()
    assert check.what == doctor.PACKAGE
    assert check.found == f"isn't installed in {sys.executable}"
    assert check.mend.splitlines() == [
        f"cd {tmp_path}",
        f"{sys.executable} -m venv .venv",
        ".venv/bin/python -m pip install --no-deps --no-build-isolation --editable .",
        ".venv/bin/python -m toolkit doctor",
    ]
    (tmp_path / ".venv").mkdir()
    (tmp_path / "improving_ml_toolkit-0.1.0-py3-none-any.whl").touch()
    (check,) = failures(tmp_path).values()
    assert "-m venv" not in check.mend, "there is one"
    assert "--no-deps improving_ml_toolkit-0.1.0-py3-none-any.whl" in check.mend


def test_another_version_of_the_package_is_installed_than_the_one_here(monkeypatch):
    versions(monkeypatch, **{doctor.PACKAGE: "0.0.1"})
    (check,) = failures().values()
    assert check.found.startswith("0.0.1 is installed, ")


def test_lock_and_chapters_are_found_from_below_and_from_elsewhere(monkeypatch, tmp_path):
    root = Path(doctor.__file__).resolve().parents[1]
    for place in (root, root / "book" / "general", tmp_path):
        monkeypatch.chdir(place)
        told = {check.what: check for check in doctor.examine()}
        assert told["chapters"].found == f"in {root / 'book'}"


def test_the_folder_that_one_stands_in_comes_before_the_clone_of_the_module(monkeypatch, tmp_path):
    (ours(tmp_path) / "intro.ipynb").touch()
    (tmp_path / "general").mkdir()
    for place in (tmp_path, tmp_path / "general"):
        monkeypatch.chdir(place)
        assert {check.what: check.found for check in doctor.examine()}["chapters"] == f"in {tmp_path}"


def test_a_folder_without_chapters_is_a_note_that_says_where_to_go(tmp_path):
    told = {check.what: check for check in doctor.examine(tmp_path)}
    assert not told["chapters"].failed
    assert told["chapters"].found == f"none in {tmp_path}; diagnostics run without them"
    assert told["chapters"].mend.startswith("cd into the clone")
    assert "Redis" not in told, "whoever has no tests needs nothing for them"


def test_it_runs_with_the_standard_library_alone():
    """As in a fresh Python: one failure, and the commands that mend it."""
    root = Path(doctor.__file__).resolve().parents[1]
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {str(root)!r}); from toolkit.__main__ import main; sys.exit(main(['doctor']))",
        ],
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 1
    assert not done.stderr
    assert re.findall(r"^FAILED (.*?):", done.stdout, re.M) == [doctor.PACKAGE]
    assert "Jupyter kernel" not in done.stdout


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


def test_a_widget_s_package_is_missing_and_told_once(monkeypatch):
    versions(monkeypatch, anywidget=None)
    (check,) = failures().values()
    assert (check.what, check.found) == ("anywidget", "is missing, >=0.9 is needed")


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


@pytest.mark.parametrize("variable", ["TMPDIR", "JUPYTER_RUNTIME_DIR", "TOOLKIT_CACHE"])
@pytest.mark.parametrize("below", [".", "made/later"])
def test_a_folder_that_cannot_be_written(monkeypatch, tmp_path, variable, below):
    locked = tmp_path / "locked"
    locked.mkdir()
    real = doctor.tempfile.TemporaryFile

    def file(*rest, dir, **options):
        if Path(dir) == locked:
            raise PermissionError(13, "Permission denied")
        return real(*rest, dir=dir, **options)

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", file)
    monkeypatch.setenv(variable, str(locked / below))
    monkeypatch.setattr(doctor.tempfile, "tempdir", os.environ.get("TMPDIR"))
    (check,) = failures().values()
    assert check.found == f"{locked / below} can't be written: Permission denied"
    assert check.mend == f"set the environment variable {variable} to a folder that you may write"


def test_memory_that_holds_files_counts_as_free(monkeypatch, tmp_path):
    """A container of 4 GB, 3.5 GB in use, 3 GB of it files that were read."""
    real = Path
    for name, text in {
        "memory.max": "4000000000\n",
        "memory.current": "3500000000\n",
        "memory.stat": "anon 500000000\nactive_file 0\ninactive_file 3000000000\n",
    }.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    places = {"/sys/fs/cgroup": tmp_path, "/proc/meminfo": tmp_path / "meminfo"}
    monkeypatch.setattr(doctor, "Path", lambda place: places.get(place, real(place)))
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert FREE_MEMORY() == 3.5
    (tmp_path / "memory.max").write_text("max\n")
    assert FREE_MEMORY() == 8_000_000 * 1024 / 1e9


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
