"""The exporter takes a renewed certificate, private key or client CA without a signal."""

from __future__ import annotations

import contextlib
import shutil
import ssl
from pathlib import Path
from typing import Iterator, List

import pytest

from ..commands.exporter import Authority, Exporter, running_exporter
from ..conftest import Cloud, Program, wait_for

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
LOADED = "I! --tls-cert: changed files loaded"


class Secret:
    """A mounted Secret of Kubernetes: the files are links through `..data`, which is switched to another folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._versions = 0

    def switch(self, *files: str) -> List[str]:
        """Replace all files at once; return their paths."""
        self._versions += 1
        version = self.folder / f"..{self._versions}"
        version.mkdir(parents=True)
        for file in files:
            shutil.copy(file, version)
        link = self.folder / "..data_tmp"
        link.symlink_to(version.name)
        link.rename(self.folder / "..data")
        paths = [self.folder / Path(file).name for file in files]
        for path in paths:
            if not path.is_symlink():
                path.symlink_to(Path("..data", path.name))
        return list(map(str, paths))


def client(authority: Authority, version: ssl.TLSVersion, with_certificate: bool = False) -> ssl.SSLContext:
    context = authority.client(with_certificate)
    context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def exporter_with(cloud: Cloud, program: Program, context: ssl.SSLContext, *options: str) -> Iterator[Exporter]:
    with running_exporter(program, program.cloud_config(cloud), *options, context=context) as exporter:
        exporter.wait_until_ready()
        yield exporter


def is_refused(exporter: Exporter) -> bool:
    try:
        exporter.get()
    except OSError:
        return True
    return False


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_secret(cloud: Cloud, program: Program, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """The next connection gets the new certificate."""
    authority, secret = Authority(tmp_path), Secret(tmp_path / "secret")
    cert, private_key = secret.switch(*authority.issue()[1::2])
    options = ["--tls-cert", cert, "--tls-key", private_key]
    with exporter_with(cloud, program, client(authority, version), *options) as exporter:
        renewed = Authority(tmp_path)
        exporter.context = client(renewed, version)
        assert is_refused(exporter)
        secret.switch(*renewed.issue()[1::2])
        assert [exporter.get().status for _ in range(3)] == [200] * 3
        wait_for(lambda: LOADED in exporter.log, "the line")
        assert exporter.stop() == 0
        assert exporter.log.count(LOADED) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_half_written(cloud: Cloud, program: Program, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """A certificate without its private key, or no file at all, is logged once; the previous pair stays in use."""
    authority = Authority(tmp_path)
    options = authority.issue()
    old, new = client(authority, version), Authority(tmp_path / "new")
    _, new_cert, _, new_key = new.issue()
    with exporter_with(cloud, program, old, *options) as exporter:
        shutil.copy(new_cert, options[1])
        assert [exporter.get().status for _ in range(5)] == [200] * 5
        shutil.copy(new_key, options[3])
        exporter.context = client(new, version)
        assert exporter.get().status == 200
        Path(options[3]).unlink()
        assert [exporter.get().status for _ in range(5)] == [200] * 5
        assert exporter.stop() == 0
        mismatch, missing = exporter.problems
        assert mismatch.startswith(f"W! --tls-cert, --tls-key: {options[1]} and {options[3]} must be a certificate and")
        assert missing.startswith(f"W! --tls-key: {options[3]} cannot be read (No such file or directory)")
        assert all(line.endswith("; the previous certificate stays in use") for line in exporter.problems)


@pytest.mark.parametrize("version", VERSIONS)
def test_client_authority(cloud: Cloud, program: Program, tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Clients of the previous CA are refused once it was replaced."""
    authority, other = Authority(tmp_path), Authority(tmp_path / "other")
    trusted = shutil.copy(authority.file, tmp_path / "clients.pem")
    options = [*authority.issue(), "--tls-client-ca", str(trusted)]
    with exporter_with(cloud, program, client(authority, version, with_certificate=True), *options) as exporter:
        assert exporter.get().status == 200
        shutil.copy(other.file, trusted)
        assert is_refused(exporter)
        assert exporter.context
        exporter.context.load_cert_chain(*other.issue("client.example.org")[1::2])
        assert exporter.get().status == 200
