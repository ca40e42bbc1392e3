"""What is handed to Docker, Kubernetes, systemd and pip names things that exist and is safe as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot.settings import PREFIX, Settings
from tests.conftest import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
KUBERNETES = ROOT / "deploy" / "kubernetes"
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "kiku"}
DEPLOYED = (
    "docker-compose.yml",
    ".env.example",
    "Dockerfile",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "deploy").rglob("*.*"))),
)


def names(requirements: list[str]) -> set[str]:
    """The canonical names of requirements."""
    return {canonicalize_name(Requirement(line).name) for line in requirements}


@pytest.fixture(scope="module")
def locked() -> dict[str, str]:
    """constraints.txt as name → version."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[0-9][\w.!]*", line)] == []
    pairs = (line.split("==") for line in lines)
    return {canonicalize_name(name): version for name, version in pairs}


def test_the_lock_has_a_version_of_everything_that_is_installed(locked: dict[str, str]) -> None:
    wanted = PYPROJECT["dependencies"] + PYPROJECT["optional-dependencies"]["dev"]
    assert names(wanted) - locked.keys() == set()
    for line in wanted:
        one = Requirement(line)
        assert one.specifier.contains(locked[canonicalize_name(one.name)]), line


def test_the_lock_has_no_cuda_and_the_torch_that_make_installs(locked: dict[str, str]) -> None:
    assert [name for name in locked if re.match("nvidia|cuda|triton", name)] == []
    assert f"TORCH := torch=={locked['torch']}\n" in (ROOT / "Makefile").read_text("utf-8")


def slim_requirements(*more: str) -> list[str]:
    """What the image installs, as the Dockerfile asks for it."""
    command = [sys.executable, str(ROOT / "deploy" / "requirements.py"), *more]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_the_image_leaves_out_torch_and_nothing_else() -> None:
    everything = PYPROJECT["dependencies"] + PYPROJECT["optional-dependencies"]["postgres"]
    assert names(everything) - names(slim_requirements()) == {"torch", "sentence-transformers"}
    milvus = names(PYPROJECT["optional-dependencies"]["milvus"])
    assert names(slim_requirements("--milvus")) - names(slim_requirements()) == milvus


def test_nothing_in_the_image_asks_for_torch_again() -> None:
    seen: set[str] = set()
    waiting = [Requirement(line) for line in slim_requirements()]
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name in seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        try:
            waiting += [Requirement(line) for line in distribution(name).requires or ()]
        except PackageNotFoundError:
            assert name.startswith("psycopg"), f"{name} is not installed"
    assert seen & {"torch", "transformers", "sentence-transformers", "scikit-learn"} == set()
    assert {"onnxruntime", "tokenizers", "faiss-cpu"} <= seen


def test_the_image_runs_as_nobody_in_particular_and_is_asked_for_its_health() -> None:
    assert re.findall(r"^USER (.+)", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"
    assert re.search(r"HEALTHCHECK (.|\n)+/healthz", DOCKERFILE)
    assert "KIKU_HOME=/data" in DOCKERFILE


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    rules = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {rule[1:] for rule in rules if rule.startswith("!")}
    assert rules.index("*") < min(map(rules.index, ("!" + name for name in let_in)))
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {name for line in copied for name in line.split()}
    assert sources == let_in
    assert [name for name in sources if not (ROOT / name).exists()] == []


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
def test_hadolint_has_nothing_to_say() -> None:
    subprocess.run(["hadolint", str(ROOT / "Dockerfile")], check=True)


def test_compose_keeps_to_its_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_publishes_to_this_machine_alone() -> None:
    published = [port for one in COMPOSE["services"].values() for port in one.get("ports", [])]
    assert published == ["127.0.0.1:${PORT:-8000}:8000"]


def test_compose_starts_with_nothing_set() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert re.findall(r"\$\{\w+(?!:-|\w)", text) == []
    always = {name for name, one in COMPOSE["services"].items() if not one.get("profiles")}
    assert always == {"index", "kiku"}
    for name in always:
        for needed, how in COMPOSE["services"][name]["depends_on"].items():
            assert needed in always or how["required"] is False


@pytest.mark.parametrize("service", sorted(OURS))
def test_containers_of_kiku_can_do_little(service: str) -> None:
    one = OURS[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert [volume for volume in one["volumes"] if not volume.endswith(":ro")] == ["data:/data"]


@pytest.mark.parametrize("path", DEPLOYED)
def test_settings_that_are_named_exist(path: str) -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"\bKIKU_[A-Z_]*[A-Z]\b", (ROOT / path).read_text("utf-8")))
    assert named - known == set()


@pytest.mark.parametrize("path", DEPLOYED)
def test_no_secret_is_written_down(path: str) -> None:
    text = (ROOT / path).read_text("utf-8")
    assert re.findall(r"xox[a-z]-\w+|xapp-\w+|sk-\w{8,}|BEGIN [A-Z ]*PRIVATE KEY", text) == []
    given = re.findall(r"(?:PASSWORD|TOKEN|SECRET|API_KEYS?)[=:] *(\S+)", text)
    assert [value for value in given if not value.startswith("${")] == []


def test_secrets_are_not_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    assert ".env" in ignored


def manifest(name: str) -> dict[str, Any]:
    """A manifest of Kubernetes."""
    loaded: dict[str, Any] = yaml.safe_load((KUBERNETES / name).read_text("utf-8"))
    return loaded


def test_kustomize_lists_every_manifest() -> None:
    listed = set(manifest("kustomization.yaml")["resources"])
    assert listed == {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    assert manifest("slack/kustomization.yaml")["patches"][0]["path"] == "container.yaml"
    assert manifest("replicas/kustomization.yaml")["resources"] == ["index.yaml"]
    [patch] = manifest("replicas/kustomization.yaml")["patches"]
    pod = manifest("deployment.yaml")["spec"]
    for change in yaml.safe_load(patch["patch"]):  # each place that is changed is there
        place: Any = {"spec": pod}
        for step in change["path"].strip("/").split("/"):
            place = place[int(step)] if isinstance(place, list) else place[step]
    assert place["name"] == "data"


def test_manifests_speak_of_one_another() -> None:
    deployment = manifest("deployment.yaml")["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("service.yaml")["spec"]["selector"] == labels
    assert manifest("network-policy.yaml")["spec"]["podSelector"]["matchLabels"] == labels
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in deployment["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    ]
    assert claims == [manifest("claim.yaml")["metadata"]["name"]]
    ports = {port["name"] for port in containers()["kiku"]["ports"]}
    assert {port["targetPort"] for port in manifest("service.yaml")["spec"]["ports"]} <= ports


def containers() -> dict[str, dict[str, Any]]:
    """Every container of the pod, the Slack component's too."""
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    more = manifest("slack/container.yaml")["spec"]["template"]["spec"]["containers"]
    job = manifest("replicas/index.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    more = more + job["containers"]
    return {one["name"]: one for one in pod["initContainers"] + pod["containers"] + more}


@pytest.mark.parametrize("name", ["index", "kiku", "slack", "builder"])
def test_containers_of_the_pod_can_do_little(name: str) -> None:
    one = containers()[name]
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    volumes = manifest("deployment.yaml")["spec"]["template"]["spec"]["volumes"]
    assert {m["name"] for m in one["volumeMounts"]} <= {volume["name"] for volume in volumes}
    assert one["resources"]["limits"]["memory"]


def test_the_pod_is_probed_and_not_given_names_like_settings() -> None:
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    # A Service called kiku becomes variables KIKU_SERVICE_HOST, …: unknown settings, refused.
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    kiku = containers()["kiku"]
    paths = {name: kiku[name]["httpGet"]["path"] for name in kiku if name.endswith("Probe")}
    assert paths == {
        "startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["serve", "slack"])
def test_units_start_kiku_as_itself(command: str) -> None:
    name = "kiku.service" if command == "serve" else "kiku-slack.service"
    unit = (ROOT / "deploy" / "systemd" / name).read_text("utf-8")
    assert f"ExecStart=/opt/kiku/.venv/bin/kiku {command}\n" in unit
    for line in ("User=kiku", "NoNewPrivileges=yes", "ProtectSystem=strict", "StateDirectory=kiku"):
        assert f"\n{line}\n" in unit
