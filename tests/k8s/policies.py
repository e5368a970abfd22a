"""What must hold of everything that is applied: each function lists what is wrong, in words; nothing is right."""

from collections import Counter
from collections.abc import Callable, Iterator

from tests.k8s.manifests import Manifest, chosen, containers, named, pods

BY_HAND = {"melalog-api-keys", "melalog-tls"}
"""Secrets that the production overlay waits for; docs/operations/kubernetes.md tells how to make them."""
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}
"""Kinds that the Pod Security Standard `restricted` lets through, from Kubernetes 1.33 on."""
IMAGE_USER = 10001
LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
CLUSTER_WIDE = {"Namespace", "PriorityClass"}
Check = Callable[[list[Manifest]], Iterator[str]]


def restricted(manifests: list[Manifest]) -> Iterator[str]:
    """The Pod Security Standard, and what we want beyond it: a read-only root, no token, requests and limits."""
    for name, pod in pods(manifests):
        spec, secured = pod["spec"], pod["spec"].get("securityContext", {})
        if secured.get("runAsNonRoot") is not True or secured.get("runAsUser") != IMAGE_USER:
            yield f"{name}: not user {IMAGE_USER}"
        if secured.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name}: no seccomp profile"
        if {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec):
            yield f"{name}: a namespace of the host"
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{name}: a token or service links"
        for volume in spec.get("volumes", ()):
            if not set(volume) - {"name"} <= VOLUMES:
                yield f"{name}: volume {volume['name']} is of a kind that is refused"
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name}: volume {volume['name']} may fill the node"
        for one in containers(pod):
            yield from (f"{name}: {wrong}" for wrong in _of_container(one))


def _of_container(one: Manifest) -> Iterator[str]:
    if one.get("securityContext") != LOCKED:
        yield "not locked down, or a pod's setting taken back"
    if any("hostPort" in port for port in one.get("ports", ())):
        yield "a port of the node"
    resources = one.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", ())) or "memory" not in resources.get("limits", ()):
        yield "without requests or a memory limit"


def one_namespace(manifests: list[Manifest]) -> Iterator[str]:
    """All is in it, but for kinds that belong to the cluster; and no object is there twice."""
    for manifest in manifests:
        kind, about = manifest["kind"], manifest["metadata"]
        if (kind in CLUSTER_WIDE) != ("namespace" not in about):
            yield f"{kind} {about['name']}: namespace {about.get('namespace')}"
        elif kind not in CLUSTER_WIDE and about["namespace"] != "melalog":
            yield f"{kind} {about['name']}: in another namespace"
        if about.get("labels", {}).get("app.kubernetes.io/part-of") != "melalog" and kind != "ConfigMap":
            yield f"{kind} {about['name']}: not labelled as part of melalog"
    twice = Counter((manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests)
    yield from (f"{kind} {name}: twice" for (kind, name), count in twice.items() if count > 1)


def selectors(manifests: list[Manifest]) -> Iterator[str]:
    """Each chooses pods, and those of one maker only; and a maker its own pods."""
    made = list(pods(manifests))
    for kind in ("Service", "PodDisruptionBudget", "Deployment"):
        for name, manifest in named(manifests, kind).items():
            told = manifest["spec"]["selector"]
            labels = {"matchLabels": told} if kind == "Service" else told
            found = {maker for maker, pod in made if told and chosen(labels, pod["metadata"]["labels"])}
            if kind == "Deployment" and found != {name}:
                yield f"{kind} {name} chooses pods of {sorted(found)}"
            elif len(found) != 1 and name != "trainers":
                yield f"{kind} {name} chooses pods of {sorted(found) or 'nobody'}"
    for name, policy in named(manifests, "NetworkPolicy").items():
        if not any(chosen(policy["spec"]["podSelector"], pod["metadata"]["labels"]) for _, pod in made):
            yield f"NetworkPolicy {name} is for nobody"


def ports(manifests: list[Manifest]) -> Iterator[str]:
    """Every named port is one: of a Service, a probe, an Ingress, a route."""
    made = list(pods(manifests))
    services: dict[str, set[object]] = {}
    for name, service in named(manifests, "Service").items():
        told = service["spec"]["ports"]
        services[name] = {entry["port"] for entry in told} | {entry["name"] for entry in told}
        for maker, pod in made:
            if chosen({"matchLabels": service["spec"]["selector"]}, pod["metadata"]["labels"]) and maker != "train":
                open_ = {port["name"] for one in containers(pod) for port in one.get("ports", ())}
                yield from (
                    f"Service {name}: {maker} has no {p['targetPort']}" for p in told if p["targetPort"] not in open_
                )
    for maker, pod in made:
        for one in containers(pod):
            open_ = {port["name"] for port in one.get("ports", ())}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                asked = one.get(probe, {}).get("httpGet", {}).get("port")
                if asked is not None and asked not in open_:
                    yield f"{maker}: {probe} asks port {asked}"
    for kind, target, port in _backends(manifests):
        if port not in services.get(target, ()):
            yield f"{kind} leads to {target}:{port}, which is not there"


def _backends(manifests: list[Manifest]) -> Iterator[tuple[str, str, object]]:
    for ingress in named(manifests, "Ingress").values():
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                (port,) = path["backend"]["service"]["port"].values()
                yield "Ingress", path["backend"]["service"]["name"], port
    for route in named(manifests, "HTTPRoute").values():
        for rule in route["spec"]["rules"]:
            yield from (("HTTPRoute", backend["name"], backend["port"]) for backend in rule["backendRefs"])


def references(manifests: list[Manifest]) -> Iterator[str]:
    """What a pod names is there, is optional, or is on the list of what is made by hand."""
    for name, pod in pods(manifests):
        for kind, told, target in _wanted(pod["spec"]):
            by_hand = kind == "Secret" and target in BY_HAND
            if target not in named(manifests, kind) and not told.get("optional") and not by_hand:
                yield f"{name}: {kind} {target} is not there"
        there = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        for one in containers(pod):
            if {mount["name"] for mount in one.get("volumeMounts", ())} - there:
                yield f"{name}: mounts a volume that is not there"
            if any("secretKeyRef" in entry.get("valueFrom", {}) for entry in one.get("env", ())):
                yield f"{name}: a secret in an environment variable, where it stays what it was"
            counted = Counter(entry["name"] for entry in one.get("env", ()))
            yield from (f"{name}: sets {twice} twice" for twice, count in counted.items() if count > 1)


OWNED = {"ServiceAccount": "serviceAccountName", "PriorityClass": "priorityClassName"}
MOUNTED = {
    "ConfigMap": ("configMap", "name"),
    "Secret": ("secret", "secretName"),
    "PersistentVolumeClaim": ("persistentVolumeClaim", "claimName"),
}


def _wanted(spec: Manifest) -> Iterator[tuple[str, Manifest, str]]:
    """Kind, reference and name of each object that a pod needs."""
    for volume in spec.get("volumes", ()):
        yield from ((kind, volume[key], volume[key][field]) for kind, (key, field) in MOUNTED.items() if key in volume)
    for one in containers({"spec": spec}):
        yield from (("ConfigMap", e["configMapRef"], e["configMapRef"]["name"]) for e in one.get("envFrom", ()))
    yield from ((kind, {}, spec[key]) for kind, key in OWNED.items() if key in spec)


def images(manifests: list[Manifest]) -> Iterator[str]:
    """Each has a tag or a digest, is not `latest`, and is pulled anew only if it is not there."""
    for name, pod in pods(manifests):
        for one in containers(pod):
            _, _, tag = one["image"].rpartition("/")[2].partition(":")
            if not tag or tag == "latest":
                yield f"{name}: image {one['image']}"
            if "imagePullPolicy" in one:
                yield f"{name}: pull policy {one['imagePullPolicy']}"


def one_owner_of_replicas(manifests: list[Manifest]) -> Iterator[str]:
    """Where something scales, the manifest says no number; everywhere else it does."""
    scaled = {
        scaler["spec"]["scaleTargetRef"]["name"]: scaler
        for kind in ("HorizontalPodAutoscaler", "ScaledObject")
        for scaler in named(manifests, kind).values()
    }
    deployments = named(manifests, "Deployment")
    for name, scaler in scaled.items():
        if name not in deployments:
            yield f"{scaler['kind']}: there is no Deployment {name}"
        for metric in scaler["spec"].get("metrics", ()):
            for one in containers(
                deployments.get(name, {"spec": {"template": {"spec": {"containers": []}}}})["spec"]["template"]
            ):
                if metric["resource"]["name"] not in one["resources"]["requests"]:
                    yield f"{name}: a share of no request"
    for name, deployment in deployments.items():
        if ("replicas" in deployment["spec"]) == (name in scaled):
            yield (
                f"{name}: `replicas` and what scales it fight" if name in scaled else f"{name}: one replica by default"
            )


def never_below_what_is_asked_for(manifests: list[Manifest]) -> Iterator[str]:
    """An update takes a pod away before the next is ready only where GPUs or a tool make it so."""
    for name, deployment in named(manifests, "Deployment").items():
        spec = deployment["spec"]
        gpu = any("nvidia.com/gpu" in one["resources"].get("limits", {}) for one in containers(spec["template"]))
        if gpu or spec.get("replicas") == 0:
            surge = spec["strategy"].get("rollingUpdate", {}).get("maxSurge", 0)
            if gpu and surge != 0:
                yield f"{name}: waits for a GPU more than there are"
            if gpu and not any(t["key"] == "nvidia.com/gpu" for t in spec["template"]["spec"].get("tolerations", ())):
                yield f"{name}: GPU nodes do not let it in"
        elif spec["strategy"].get("rollingUpdate", {}).get("maxUnavailable") != 0:
            yield f"{name}: an update takes a pod away first"


CHECKS: tuple[Check, ...] = (
    restricted,
    one_namespace,
    selectors,
    ports,
    references,
    images,
    one_owner_of_replicas,
    never_below_what_is_asked_for,
)
