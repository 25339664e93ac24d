"""What is under deploy/: every manifest fits its published schema, names what exists, and its settings are right.

The same checks are shown to fail on manifests that are broken.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from clownfish.config import load_config
from clownfish.errors import ConfigError
from clownfish.keys import KeyFolder
from clownfish.measures import MEASURES
from tests.keyrings import keyring
from tests.units import verify

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: it comes with the extra dev")

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").rglob("*.yaml"))
UNITS = sorted((DEPLOY / "cloud" / "systemd").glob("*.service"))
KUBERNETES = "1.29"
"""The oldest release that runs them: since then a sidecar is an init container."""

Tree = dict[str, Any]


def documents(path: Path) -> list[Tree]:
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]


def every(kind: str) -> Iterator[Tree]:
    for path in MANIFESTS:
        yield from (each for each in documents(path) if each["kind"] == kind)


def named(kind: str, name: str) -> Tree:
    return next(each for each in every(kind) if each["metadata"]["name"] == name)


# -- Kubernetes -------------------------------------------------------------------------------------------------------

SCALED_OBJECT = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "spec": {
            "type": "object",
            "required": ["scaleTargetRef", "triggers"],
            "additionalProperties": False,
            "properties": {
                "scaleTargetRef": {"type": "object", "required": ["name"]},
                "minReplicaCount": {"type": "integer", "minimum": 0},
                "maxReplicaCount": {"type": "integer", "minimum": 1},
                "pollingInterval": {"type": "integer", "minimum": 1},
                "cooldownPeriod": {"type": "integer", "minimum": 0},
                "advanced": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"horizontalPodAutoscalerConfig": {"type": "object"}},
                },
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["type", "metadata"],
                        "additionalProperties": False,
                        "properties": {
                            "type": {"const": "prometheus"},
                            "metricType": {"enum": ["AverageValue", "Value"]},
                            "metadata": {
                                "type": "object",
                                "required": ["serverAddress", "query", "threshold"],
                                "additionalProperties": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""What we use of KEDA's ScaledObject: its own schema is in no package. Its `behavior` is checked as Kubernetes' own."""


def check_kubernetes(document: Tree) -> None:
    """Raises where the document does not fit the schema of its kind."""
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate: it has the schemas")
    import jsonschema

    if document["kind"] != "ScaledObject":
        validate.validate(document, KUBERNETES, strict=True)
        return
    jsonschema.validate(document, SCALED_OBJECT)
    spec = document["spec"]
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "of-keda"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", **spec["scaleTargetRef"]},
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
        },
    }
    validate.validate(autoscaler, KUBERNETES, strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_manifest_fits_its_schema(path: Path) -> None:
    found = documents(path)
    assert found
    for document in found:
        check_kubernetes(document)


def drop(*keys: str | int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        del tree[keys[-1]]

    return change


def put(value: Any, *keys: str | int) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("kind", "name", "breakage"),
    [
        ("Deployment", "clownfish-router", drop("spec", "selector")),
        ("Deployment", "clownfish-router", put(["0.5"], "spec", "replicas")),
        ("Deployment", "clownfish-worker", put("x", "spec", "template", "spec", "containers", 0, "imagee")),
        ("Service", "clownfish-edges", put("http", "spec", "ports", 0, "port")),
        ("NetworkPolicy", "clownfish-router", drop("spec", "podSelector")),
        ("HorizontalPodAutoscaler", "clownfish-worker", drop("spec", "maxReplicas")),
        ("ScaledObject", "clownfish-worker", put(2, "spec", "triggers", 0, "metadata", "threshold")),
        ("ScaledObject", "clownfish-worker", put(2, "spec", "maxReplicas")),
        (
            "ScaledObject",
            "clownfish-worker",
            put({}, "spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp", "policies", 0),
        ),
    ],
)
def test_a_broken_manifest_is_found(kind: str, name: str, breakage: Callable[[Any], None]) -> None:
    document = named(kind, name)
    check_kubernetes(document)
    breakage(document)
    with pytest.raises(Exception, match=r"required|not of type|was unexpected|is not valid|Unevaluated|not allowed"):
        check_kubernetes(document)


def pod(deployment: Tree) -> Tree:
    spec: Tree = deployment["spec"]["template"]["spec"]
    return spec


def test_what_manifests_name_exists() -> None:
    """Selectors select pods, ports and volumes have their names, config maps and secrets are there."""
    deployments = list(every("Deployment"))
    made = {(each["kind"], each["metadata"]["name"]) for path in MANIFESTS for each in documents(path)}
    for each in deployments:
        spec, labels = pod(each), each["spec"]["template"]["metadata"]["labels"]
        assert each["spec"]["selector"]["matchLabels"] == labels
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in (*spec["initContainers"], *spec["containers"]):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            ports = {port["name"] for port in container.get("ports", ())}
            probes = [container[name] for name in container if name.endswith("Probe")]
            assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= ports
        for volume in spec["volumes"]:
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in made
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in made
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    for service in every("Service"):
        selected = [
            each for each in deployments if service["spec"]["selector"].items() <= dict(pod_labels(each)).items()
        ]
        assert len(selected) == 1
        ports = {port["name"] for port in pod(selected[0])["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for each in (*every("NetworkPolicy"), *every("PodDisruptionBudget")):
        selector = each["spec"].get("podSelector") or each["spec"]["selector"]
        assert any(selector["matchLabels"].items() <= labels.items() for labels in pods)
    for each in (*every("ScaledObject"), *every("HorizontalPodAutoscaler")):
        assert ("Deployment", each["spec"]["scaleTargetRef"]["name"]) in made
    assert {
        each["metadata"]["namespace"] for path in MANIFESTS for each in documents(path) if each["kind"] != "Namespace"
    } == {"clownfish"}


def pod_labels(deployment: Tree) -> Tree:
    labels: Tree = deployment["spec"]["template"]["metadata"]["labels"]
    return labels


def known_metrics() -> set[str]:
    """What the metrics page calls our measures."""
    return {
        f"clownfish_{service}_{measure.metric}" + ("_total" if measure.kind == "counter" else "")
        for measure in MEASURES
        for service in measure.services
    }


def test_autoscaling_asks_for_measures_that_there_are() -> None:
    text = "".join(path.read_text() for path in MANIFESTS)
    asked = set(re.findall(r"clownfish_router_\w+", text)) - {"clownfish_router_windows_in_cloud"}  # the adapter's name
    assert len(asked) >= 3
    assert asked <= known_metrics()


@pytest.mark.parametrize("name", ["router", "worker"])
def test_the_settings_in_the_config_map_are_right(name: str, tmp_path: Path) -> None:
    maps = named("ConfigMap", "clownfish-config")["data"]
    path = tmp_path / f"{name}.toml"
    path.write_text(maps[f"{name}.toml"])
    config = load_config(path, environment={})
    deployment = pod(named("Deployment", f"clownfish-{name}"))
    container = deployment["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert config.metrics is not None
    assert config.metrics.listen.endswith(f":{ports['metrics']}")
    if config.router is not None:
        assert [int(getattr(config.router, each).rpartition(":")[2]) for each in ("control", "data", "workers")] == [
            ports[each] for each in ("control", "data", "workers")
        ]
    else:
        assert config.worker is not None
        host, port = config.worker.router.removeprefix("tcp://").split(":")
        assert int(port) == named("Service", host)["spec"]["ports"][0]["port"]
    assert container["args"] == ["up", f"/etc/clownfish/{name}.toml"]


def test_the_keys_of_a_pod_are_copied_to_where_a_router_believes_them(tmp_path: Path) -> None:
    """From mounts as Kubernetes makes them: links, in folders that anybody may write to."""
    ring = keyring(tmp_path / "ring")
    ring.device("door")
    ring.device("gpu", role="worker")
    mounted, public, mine = tmp_path / "mnt" / "keys", tmp_path / "mnt" / "authorized", tmp_path / "run" / "keys"
    for source, target in ((ring.folder, mounted), (ring.folder / "authorized", public)):
        (target / "..data").mkdir(parents=True)
        for file in (each for each in source.iterdir() if each.is_file()):
            shutil.copy(file, target / "..data" / file.name)
            (target / "..data" / file.name).chmod(0o644)
            (target / file.name).symlink_to(Path("..data") / file.name)
        target.chmod(0o777)
    with pytest.raises(ConfigError):
        KeyFolder(mounted)
    script = tmp_path / "copy-keys.sh"
    script.write_text(named("ConfigMap", "clownfish-config")["data"]["copy-keys.sh"])
    environment = {**os.environ, "FROM": str(mounted), "AUTHORIZED": str(public), "TO": str(mine)}

    def copy() -> KeyFolder:
        subprocess.run(["sh", str(script)], env=environment, check=True)
        folder = KeyFolder(mine)
        folder.reload()
        return folder

    assert len(copy()) == 2
    assert copy().own == ring.router
    (public / "door.pub").unlink()
    assert len(copy()) == 1, "a device that is not authorized any more is out"


# -- compose ----------------------------------------------------------------------------------------------------------


def compose_schema() -> Tree:
    """The Compose Specification's own."""
    if importlib.util.find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema, which has the Compose Specification's schema, is not installed")
    import json

    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    tree: Tree = json.loads(schema.read_text(encoding="utf-8"))
    return tree


def compose() -> Tree:
    tree: Tree = yaml.safe_load((DEPLOY / "cloud" / "compose.yaml").read_text(encoding="utf-8"))
    return tree


def test_compose_fits_its_specification() -> None:
    import jsonschema

    jsonschema.validate(compose(), compose_schema())


@pytest.mark.parametrize(
    "breakage",
    [
        put("x", "services", "router", "imagee"),
        put({"a": 1}, "services", "router", "ports"),
        put("sometimes", "services", "worker", "depends_on", "router", "condition"),
        put([], "servicess"),
    ],
)
def test_a_broken_compose_file_is_found(breakage: Callable[[Any], None]) -> None:
    import jsonschema

    schema, tree = compose_schema(), compose()
    breakage(tree)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tree, schema)


def stages() -> dict[str, str]:
    """Name → text of each stage of the Dockerfile."""
    text = (DEPLOY / "cloud" / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)
    parts = re.split(r"^FROM \S+ AS (\w+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_compose_builds_stages_that_there_are_and_mounts_what_is_there() -> None:
    for service in compose()["services"].values():
        build = service["build"]
        where = (DEPLOY / "cloud" / build["context"]).resolve()
        assert where == ROOT
        assert (where / build["dockerfile"]).is_file()
        assert build["target"] in stages()
        files = [volume.split(":")[0] for volume in service["volumes"] if ".toml" in volume]
        assert files
        assert all((DEPLOY / "cloud" / file).is_file() for file in files)


def test_images_are_built_from_what_is_there_and_the_routers_has_no_torch() -> None:
    everything = stages()
    extras = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    ignored = (DEPLOY / "cloud" / "Dockerfile.dockerignore").read_text().split()
    for text in everything.values():
        for sources in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
            for source in sources.split():
                assert (ROOT / source).exists()
                assert f"!{source}" in ignored, f"{source} would not reach the build"
        for wanted in re.findall(r'pip install .*"\.\[([\w,]+)\]"', text):
            assert set(wanted.split(",")) <= extras
    assert "torch" not in everything["base"] + everything["router"]
    assert "torch" in everything["worker"]


@pytest.mark.parametrize("name", ["router", "worker", "worker-gpu"])
def test_the_settings_with_a_services_environment_are_right(name: str) -> None:
    service = compose()["services"][name]
    file = next(volume.split(":")[0] for volume in service["volumes"] if ".toml" in volume)
    config = load_config(DEPLOY / "cloud" / file, environment=service["environment"])
    inside = [volume.split(":")[1] for volume in service["volumes"]]
    if config.router is not None:
        assert config.router.keys in inside
        assert {int(port.split(":")[-1]) for port in service["ports"]} == {7100, 7101, 9464}
    else:
        assert config.worker is not None
        assert config.worker.router.removeprefix("tcp://").split(":")[0] in compose()["services"]
        assert str(Path(config.worker.key).parent) in inside
        assert str(Path(config.worker.router_key).parent) in inside


# -- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_a_unit(path: Path, tmp_path: Path) -> None:
    assert verify(path.read_text(), path.name, tmp_path) == ""


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("Type=notify", "Type=notifies"),
        ("WatchdogSec=60", "WatchdogSecs=60"),
        ("ExecStart=/opt/clownfish/bin/clownfish", "ExecStart=clownfish/relative"),
        ("[Service]", "[Servicce]"),
    ],
)
def test_a_broken_unit_is_found(line: str, broken: str, tmp_path: Path) -> None:
    text = UNITS[0].read_text()
    assert line in text
    assert verify(text.replace(line, broken), UNITS[0].name, tmp_path) != ""


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_starts_settings_that_are_right(path: Path) -> None:
    command = next(line for line in path.read_text().splitlines() if line.startswith("ExecStart=")).replace("%i", "0")
    words = command.split()
    sets = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    config = load_config(DEPLOY / "cloud" / Path(words[2]).name, sets, environment={})
    assert str(config.run_dir()) == f"/run/clownfish-{config.graph.name}"
    assert f"RuntimeDirectory={config.run_dir().name}" in path.read_text().replace("%i", "0")
