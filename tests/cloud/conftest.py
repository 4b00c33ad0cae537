"""Servers on real sockets, and the authority that signs the certificate of the one with TLS."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Iterator

import pytest
import trustme

from ..keep_alive_server import KeepAliveServer


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server() -> Iterator[KeepAliveServer]:
    with contextlib.closing(KeepAliveServer()) as server:
        yield server


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[KeepAliveServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.create_child_ca().issue_cert("localhost", "modelarts.cloud.invalid").configure_cert(context)
    with contextlib.closing(KeepAliveServer(context)) as server:
        yield server
