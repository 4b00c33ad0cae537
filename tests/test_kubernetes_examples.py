"""The Kubernetes manifests that users copy, checked without a cluster."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from maas_usage_check.commands.arguments import LISTEN, read_arguments
from maas_usage_check.config import load
from maas_usage_check.config.yaml_file import read_yaml

from .agents.programs import ROOT
from .commands.exporter import running_exporter
from .conftest import AK, SK, Cloud, Program

FOLDER = ROOT / "examples" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))
NAME = "maas-usage-check"
LABELS = {"app.kubernetes.io/name": NAME}


def read(path: Path) -> Any:
    """Read a manifest; fail on a duplicate key, as kubectl does."""
    return read_yaml(str(path))


KINDS = {document["kind"]: document for document in map(read, FILES)}
POD = KINDS["Deployment"]["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
MOUNTS = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}
VOLUMES = {volume["name"]: volume for volume in POD["volumes"]}
CONF = KINDS["ConfigMap"]["data"]["conf.yaml"]


def test_service_monitor_fields() -> None:
    monitor = KINDS["ServiceMonitor"]
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert set(monitor) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    (endpoint,) = monitor["spec"]["endpoints"]
    assert set(endpoint) == {"port", "interval", "relabelings"}
    assert endpoint["port"] == KINDS["Service"]["spec"]["ports"][0]["name"]
    for rule in endpoint["relabelings"]:
        assert set(rule) <= {"action", "targetLabel", "replacement", "regex"}


def test_names_and_labels_agree() -> None:
    assert set(KINDS) == {"ConfigMap", "Deployment", "PersistentVolumeClaim", "Service", "ServiceMonitor"}
    for document in KINDS.values():
        assert document["metadata"] == {"name": NAME, "labels": LABELS}
    spec = KINDS["Deployment"]["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == LABELS
    assert KINDS["Service"]["spec"]["selector"] == KINDS["ServiceMonitor"]["spec"]["selector"]["matchLabels"] == LABELS
    assert VOLUMES["config"]["configMap"]["name"] == VOLUMES["key"]["secret"]["secretName"] == NAME
    assert VOLUMES["state"]["persistentVolumeClaim"]["claimName"] == NAME
    assert set(MOUNTS) == set(VOLUMES)


def test_pod_security() -> None:
    """One pod runs at a time, without privileges."""
    spec = KINDS["Deployment"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["runAsUser"] > 0
    assert POD["automountServiceAccountToken"] is False
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert all(MOUNTS[name]["readOnly"] for name in ("config", "key"))
    assert VOLUMES["key"]["secret"]["defaultMode"] == 0o440


def test_ports_and_paths() -> None:
    args = read_arguments([*CONTAINER["command"][1:], *CONTAINER["args"]])
    (instance,) = load(yaml.safe_load(CONF))
    assert args.config == f"{MOUNTS['config']['mountPath']}/conf.yaml"
    assert instance.credentials.path == f"{MOUNTS['key']['mountPath']}/credentials"
    assert instance.state_dir == MOUNTS["state"]["mountPath"]
    (port,) = CONTAINER["ports"]
    (served,) = KINDS["Service"]["spec"]["ports"]
    assert args.listen == ("0.0.0.0", port["containerPort"])
    assert port["containerPort"] == served["port"] == int(LISTEN.rpartition(":")[2])
    assert served["targetPort"] == port["name"]


def test_probes(cloud: Cloud, program: Program, tmp_path: Path) -> None:
    """The command of the manifest answers the probes, and only its user can read the state."""
    key, state = tmp_path / "key", tmp_path / "state"
    key.mkdir()
    state.mkdir(mode=0o700)
    (key / "credentials").write_text(f"{AK},{SK}\n")
    os.chmod(key / "credentials", VOLUMES["key"]["secret"]["defaultMode"])
    text = CONF.replace(MOUNTS["key"]["mountPath"], str(key)).replace(MOUNTS["state"]["mountPath"], str(state))
    hosts = f"endpoint: {cloud.url}\n    iam_endpoint: {cloud.url}\n    region: cn"
    config = program.config(text.replace("region: cn", hosts, 1))
    (variable,) = CONTAINER["env"]
    assert variable["value"] == MOUNTS["key"]["mountPath"]
    for name in ("HW_ACCESS_KEY", "HW_SECRET_KEY"):
        program.environ.pop(name)
    with running_exporter(program, config, **{variable["name"]: str(key)}) as exporter:
        exporter.wait_until_ready()
        for probe in ("readinessProbe", "livenessProbe"):
            assert exporter.get(CONTAINER[probe]["httpGet"]["path"]).status == 200
        assert exporter.samples("huawei_maas_api_up") == {"cn-southwest-2": 1}
        assert exporter.samples("huawei_maas_consumed_tokens_total")
        assert exporter.stop() == 0
    assert exporter.problems == []
    modes = [path.stat().st_mode for path in state.iterdir()]
    assert modes
    assert not any(mode & (stat.S_IRWXG | stat.S_IRWXO) for mode in modes)
