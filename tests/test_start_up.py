"""What a `collect` does not load, and that it works all the same when it is needed after all."""

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
def test_only_collect_puts_modules_off(cloud: Cloud, program: Program, command: str, loads: bool) -> None:
    program.command.insert(1, "-Ximporttime")
    ended = program.process(command, "--config", program.cloud_config(cloud), stdin="\n")
    assert ended.returncode == 0
    assert "huawei_maas_usage" in ended.stdout
    assert ("pyasn1.type.base" in ended.stderr) is loads
    assert ("yaml.reader" in ended.stderr) is loads
    if sys.version_info >= (3, 9):  # before, argparse loads it for itself
        assert " shutil\n" not in ended.stderr


@pytest.mark.parametrize(("code", "printed"), [(SIGN, "8\n"), (NO_PACKAGE, ""), (NO_LIBYAML, "False {'a': [1]}\n")])
def test_what_was_put_off_is_there_when_it_is_used(program: Program, code: str, printed: str) -> None:
    """A package that is not there is not put off, and without libyaml the reader in Python is there."""
    program.command = [sys.executable, "-c"]
    ended = program.process(code)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, printed, "")


@pytest.mark.parametrize("written", [b"\x01", b"\xff\xfe\xff"])
def test_what_libyaml_cannot_read_is_said_as_ever(program: Program, written: bytes) -> None:
    path = program.folder / "conf.yaml"
    path.write_bytes(b'instances: ["' + written + b'"]')
    said = {
        run(command, "--config", str(path)).stderr
        for run, command in ((program.process, "collect"), (program, "execd"))
    }
    assert said == {f"E! {path}: not valid YAML; check indentation, colons and quotes there\n"}
