"""Modules that `collect` does not load, and that they work if they are used."""

from __future__ import annotations

import sys

import pytest

from .conftest import Cloud, Program

SIGN = """
import sys
from maas_usage_check.__main__ import UNUSED, put_off
for name in UNUSED:
    put_off(name)
from huaweicloudsdkcore.signer.utils import P256SigningKey
assert "pyasn1.type.base" not in sys.modules
from pyasn1.type import univ
print(univ.Integer(7) + 1)
"""
NO_PACKAGE = "from maas_usage_check.__main__ import put_off; put_off('no_such.thing'); put_off('json.no_such')"
NO_LIBYAML = """
import sys

class Missing:
    def find_spec(self, name, *others):
        if name == "yaml._yaml":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Missing())
from maas_usage_check.__main__ import do_without_reader
do_without_reader()
import yaml
print(yaml.__with_libyaml__, yaml.safe_load("{a: [1]}"))
"""


@pytest.mark.parametrize(("command", "loads"), [("collect", False), ("execd", True)])
def test_lazy_modules(cloud: Cloud, program: Program, command: str, loads: bool) -> None:
    """Only `collect` delays the imports."""
    program.command.insert(1, "-Ximporttime")
    done = program.process(command, "--config", program.cloud_config(cloud), stdin="\n")
    assert done.returncode == 0
    assert "huawei_maas_usage" in done.stdout
    assert ("pyasn1.type.base" in done.stderr) is loads
    assert ("yaml.reader" in done.stderr) is loads
    if sys.version_info >= (3, 9):  # argparse of 3.8 imports it
        assert " shutil\n" not in done.stderr


@pytest.mark.parametrize(("code", "printed"), [(SIGN, "8\n"), (NO_PACKAGE, ""), (NO_LIBYAML, "False {'a': [1]}\n")])
def test_lazy_modules_load_on_use(program: Program, code: str, printed: str) -> None:
    """Modules load on use, missing packages are ignored, and without libyaml PyYAML's own reader works."""
    program.command = [sys.executable, "-c"]
    done = program.process(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")


@pytest.mark.parametrize("content", [b"\x01", b"\xff\xfe\xff"])
def test_unreadable_yaml(program: Program, content: bytes) -> None:
    """libyaml and PyYAML's own reader cause the same error."""
    path = program.folder / "conf.yaml"
    path.write_bytes(b'instances: ["' + content + b'"]')
    errors = {
        run(command, "--config", str(path)).stderr
        for run, command in ((program.process, "collect"), (program, "execd"))
    }
    assert errors == {f"E! {path}: not valid YAML; check indentation, colons and quotes there\n"}
