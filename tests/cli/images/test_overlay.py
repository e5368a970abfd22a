"""An image's digest goes into a kustomization, and nothing else in it changes."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.images import overlay
from cli.images.image_error import ImageError
from cli.images.overlay import Entry
from cli.processes import ROOT

IMAGE = "melalog-classifier"
NEW = Entry("registry.example/team/melalog-classifier", "sha256:" + "ab" * 32)
WRITTEN = {"name": IMAGE, "newName": NEW.repository, "digest": NEW.digest}

names = st.sampled_from([IMAGE, "melalog-vlm", "melalog-fusion", "other/image", "yes", "1.0", "a: b", "#x"])
values = st.sampled_from(["1.0", "dev", "latest", "00", "null", "ünï", "a # b", "sha256:" + "0" * 64, "'", '"q"'])
entry = st.builds(
    lambda name, rest: {"name": name, **rest},
    names,
    st.dictionaries(st.sampled_from(["newName", "newTag", "digest", "tagSuffix"]), values, max_size=3),
)
kustomizations = st.fixed_dictionaries(
    {"resources": st.lists(st.sampled_from(["../../base", "ingress.yaml", "x y.yaml"]), min_size=1, max_size=3)},
    optional={
        "namespace": st.just("melalog"),
        "images": st.lists(entry, max_size=4, unique_by=lambda one: one["name"]),
        "patches": st.lists(st.just({"path": "a.yaml", "target": {"kind": "Deployment"}}), max_size=2),
        "labels": st.just([{"pairs": {"a": "b"}}]),
    },
)


def images(document: dict[str, list[dict[str, str]]]) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in document.get("images") or []}


@settings(max_examples=300)
@given(
    kustomizations,
    st.sampled_from([None, False, True]),
    st.sampled_from([2, 4]),
    st.booleans(),
    st.sampled_from(["", "# first\n\n"]),
    st.sampled_from(["", "# last\n", "\n\n"]),
)
def test_any_kustomization(
    tmp_path_factory: pytest.TempPathFactory,
    document: dict[str, list[dict[str, str]]],
    flow: bool | None,
    indent: int,
    order: bool,
    head: str,
    tail: str,
) -> None:
    file = tmp_path_factory.mktemp("overlay") / "kustomization.yaml"
    text = yaml.safe_dump(document, default_flow_style=flow, indent=indent, sort_keys=order, allow_unicode=True)
    text = head + text + tail
    file.write_text(text)
    overlay.set_image(file, IMAGE, NEW)
    after = yaml.safe_load(file.read_text())
    assert images(after).pop(IMAGE) == WRITTEN
    assert {k: v for k, v in images(after).items() if k != IMAGE} == {
        k: v for k, v in images(document).items() if k != IMAGE
    }
    assert {k: v for k, v in after.items() if k != "images"} == {k: v for k, v in document.items() if k != "images"}
    assert file.read_text().startswith(head)
    assert overlay.current(file, IMAGE) == NEW
    once = file.read_text()
    overlay.set_image(file, IMAGE, NEW)
    assert file.read_text() == once


COMMENTED = """\
# Production: two clusters.
resources:
  - ../../base   # the four services

images:
  # pushed by melalog
  - name: melalog-orchestrator
    newTag: "1.10"
  - name: melalog-classifier   # this one
    newTag: dev
# what follows is for the gateway

components: [../../components/network]
"""


def test_comments_and_order_stay(tmp_path: Path) -> None:
    file = tmp_path / "kustomization.yaml"
    file.write_text(COMMENTED)
    file.chmod(0o640)
    overlay.set_image(file, IMAGE, NEW)
    changed = COMMENTED.replace(
        "    newTag: dev\n",
        f"    newName: {NEW.repository}\n    digest: {NEW.digest}\n",
    )
    assert file.read_text() == changed
    assert file.stat().st_mode & 0o777 == 0o640
    overlay.set_image(file, "melalog-vlm", NEW)
    lines = file.read_text().splitlines()
    assert lines[lines.index("# what follows is for the gateway") - 1] == f"    digest: {NEW.digest}"
    assert not list(tmp_path.glob(".*")), "a temporary file is left"


@pytest.mark.parametrize("name", ["local", "production"])
def test_a_shipped_overlay_changes_in_its_entry_only(tmp_path: Path, name: str) -> None:
    file = tmp_path / "kustomization.yaml"
    shutil.copy(ROOT / "k8s" / "overlays" / name / "kustomization.yaml", file)
    before = file.read_text().splitlines()
    overlay.set_image(file, IMAGE, NEW)
    after = file.read_text().splitlines()
    removed, added = set(before) - set(after), set(after) - set(before)
    assert added - {"images:", f"  - name: {IMAGE}"} == {f"    newName: {NEW.repository}", f"    digest: {NEW.digest}"}
    assert not removed, "`newTag: dev` stays with the other images"
    assert [line for line in after if "#" in line] == [line for line in before if "#" in line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (  # the last entry's comments, on its line and below it
            "images:\n- name: a\n  newTag: dev  # one\n# end\nx: []\n",
            "images:\n- name: a\n  newTag: dev  # one\n- name: {i}\n  newName: {n}\n  digest: {d}\n# end\nx: []\n",
        ),
        (  # a list without entries, a document start
            "---\nimages: []  # none yet\n",
            "---\nimages:     # none yet\n- name: {i}\n  newName: {n}\n  digest: {d}\n",
        ),
        (  # flow style stays, and so do quotes
            "images:\n- {{name: '{i}', newTag: \"1\"}} # this\n# end\n",
            "images:\n- {{name: {i}, newName: {n}, digest: {d}}} # this\n# end\n",
        ),
    ],
)
def test_the_way_it_is_written_stays(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "kustomization.yaml"
    words = {"i": IMAGE, "n": NEW.repository, "d": NEW.digest}
    file.write_text(text.format(**words))
    overlay.set_image(file, IMAGE, NEW)
    assert file.read_text() == expected.format(**words)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "images: {a: b}\n", "images: [\n", "just words"])
def test_what_is_no_kustomization_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kustomization.yaml"
    file.write_text(text)
    with pytest.raises(ImageError, match="is not a kustomization"):
        overlay.set_image(file, IMAGE, NEW)
    assert file.read_text() == text


@pytest.mark.parametrize(("first", "second"), [(IMAGE, "other"), ("other", IMAGE)])
def test_anchors_are_for_kustomize(tmp_path: Path, first: str, second: str) -> None:
    file = tmp_path / "kustomization.yaml"
    text = f"images:\n- &a {{name: {first}, newTag: dev}}\n- {{<<: *a, name: {second}}}\n"
    file.write_text(text)
    with pytest.raises(ImageError, match=r"kustomize edit set image melalog-classifier=registry\.example"):
        overlay.set_image(file, IMAGE, NEW)
    assert file.read_text() == text


def test_an_overlay_that_is_not_there(tmp_path: Path) -> None:
    for name in ("local", "production"):
        folder = tmp_path / "k8s" / "overlays" / name
        folder.mkdir(parents=True)
        (folder / "kustomization.yaml").write_text("resources: []\n")
    with pytest.raises(ImageError, match=r"no overlay 'prod'.*local, production"):
        overlay.find(tmp_path, "prod")
    assert overlay.find(tmp_path, "local") == overlay.find(tmp_path / "else", f"{tmp_path}/k8s/overlays/local")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders it")
def test_kustomize_renders_that_digest(tmp_path: Path) -> None:
    base = ROOT / "k8s" / "base"
    folder = tmp_path / "overlays" / "one"
    folder.mkdir(parents=True)
    shutil.copytree(base, tmp_path / "copy")
    file = folder / "kustomization.yaml"
    file.write_text("resources:\n- ../../copy\n")
    overlay.set_image(file, IMAGE, NEW)
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True)
    assert f"image: {NEW.repository}@{NEW.digest}\n" in done.stdout
