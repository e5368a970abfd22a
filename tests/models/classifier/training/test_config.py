"""A training plan: what is wrong with it is said before hours are spent."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.classifier.training import phases, plan_file
from models.classifier.training.config import TrainConfig, describe

STAGES = [{"epochs": 1, "size": 64}, {"epochs": 2, "size": 96}]
PLANS = sorted(file.stem for file in plan_file.CONFIGS.glob("*.yaml"))
EARLIER = {"b0-224", "b3-384", "b3-512", "b5-384", "b5-512", "b3-300", "resnet18-scratch", "resnet50-scratch"}
DOCS = Path(__file__).parents[4] / "docs" / "models" / "training.md"


def test_every_earlier_system_has_its_plan() -> None:
    assert EARLIER | {"released", "released-teacher"} <= set(PLANS)


@pytest.mark.parametrize("name", PLANS)
def test_the_shipped_plans_are_valid(name: str) -> None:
    config = TrainConfig.load(name)
    assert config.input_size == config.stages[-1].size <= config.cache_size
    assert config.calibration_source in config.train_sources
    size = name.split("-")[1] if name[0] == "b" else ""
    if size:
        assert config.input_size == int(size)
        assert f"efficientnet_{name[:2]}" in config.backbone


def test_the_recipes_are_those_of_the_earlier_systems() -> None:
    two_phases = TrainConfig.load("b3-300")
    assert [(phase.name, len(phase.sizes)) for phase in phases.of(two_phases)] == [("warm-up", 3), ("fine-tuning", 50)]
    assert (two_phases.optimiser.lr, two_phases.optimiser.head_lr, two_phases.batch_size) == (1e-4, 5e-4, 256)
    weighted = TrainConfig.load("b0-224")
    assert (weighted.loss.class_weights, weighted.batch_size * weighted.accumulation) == ("balanced", 256)
    scratch = TrainConfig.load("resnet18-scratch")
    assert (scratch.initial, scratch.batch_size, scratch.train_sources) == (None, 4, ("ham10000",))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 1}, "learning_rate"),
        ({"augmentation": {"blur": 1}}, "augmentation.blur"),
        ({"optimiser": {"learning_rate": 1}}, "optimiser.learning_rate"),
        ({"stages": [{"epochs": 1, "size": 64, "lr": 1}]}, "stages.0.lr"),
        ({"stages": [{"epochs": 0, "size": 64}]}, "stages.0.epochs"),
        ({"stages": [{"epochs": 1, "size": 16}]}, "stages.0.size"),
        ({"stages": [*STAGES, {"epochs": 1, "size": 64, "frozen": True}]}, "frozen"),
        ({"geometry": "stretch"}, "geometry"),
        ({"sampling": {"melanoma_share": 1.0}}, "sampling.melanoma_share"),
        ({"precision": "fp8"}, "precision"),
        ({"cache_size": 80}, "cache_size"),
        ({"loss": {"class_weights": {"melanoma": 2}}}, "loss.class_weights: no such label: melanoma"),
        ({"rare": {"classes": ["melanom"]}}, "melanom"),
        ({"selection": {"metric": "accuracy"}}, "selection.metric"),
        ({"transforms": [{"name": "RandomRotation", "degree": 2}]}, "transforms.0"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(changes: dict[str, Any], named: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(str({"stages": STAGES, **changes}))
    with pytest.raises(ValidationError) as caught:
        TrainConfig.load(file)
    assert named in str(caught.value)


def test_a_plan_without_stages_is_refused() -> None:
    with pytest.raises(ValidationError, match="stages"):
        TrainConfig.model_validate({})


def test_any_key_can_be_set(tmp_path: Path) -> None:
    changes = ["optimiser.lr=1e-3", "stages.1.size=128", "selection.patience=3", "loss.class_weights={mel: 5}",
               "train_sources=[ham10000]", "augmentation=null", "distillation.teacher=x"]  # fmt: skip
    found = TrainConfig.load("released", changes)
    assert found.optimiser.lr == 1e-3
    assert found.stages[1].size == 128
    assert found.selection is not None
    assert found.selection.patience == 3
    assert found.loss.class_weights == {"mel": 5.0}
    assert found.train_sources == ("ham10000",)
    assert found.augmentation is None
    assert found.distillation is not None
    assert found.distillation.teacher == "x"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("optimiser.learning=1", "optimiser.learning"),
        ("optimiser", "write key=value"),
        ("=1", "write key=value"),
        ("a..b=1", "write key=value"),
        ("stages.7.size=64", "7 must be a number below 2"),
        ("stages.x.size=64", "x must be a number below 2"),
        ("backbone.size=64", "backbone has no keys"),
        ("seed=[1", "not YAML"),
    ],
)
def test_a_change_that_cannot_be_made_is_named(change: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TrainConfig.load("released", [change])


@settings(max_examples=25)
@given(st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_set_is_taken_or_refused(key: str, value: str) -> None:
    try:
        plan = plan_file.read("released", [f"{key}={value}"])
    except ValueError:
        return
    assert "stages" in plan


def test_an_unknown_plan_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no plan nothing: name a YAML file, or one of .*b0-224.*released"):
        TrainConfig.load("nothing")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    for name in ("list.yaml", "broken.yaml"):
        with pytest.raises(ValueError, match=name):
            TrainConfig.load(tmp_path / name)


def test_the_documentation_lists_every_key() -> None:
    """`python -m models.classifier.training.config` prints the table; paste it there."""
    text = DOCS.read_text()
    for key, default, meaning in describe():
        assert f"| `{key}` | {f'`{default}`' if default else ''} | {meaning} |" in text, key


def rates(**optimiser: Any) -> list[float]:
    config = TrainConfig.model_validate({"stages": STAGES, "optimiser": optimiser}).optimiser
    return [phases.rate(step, 10, 10, config) for step in range(100)]


def test_the_rate_rises_and_falls() -> None:
    cosine = rates(warmup=0.1)
    assert cosine[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert cosine[9:] == sorted(cosine[9:], reverse=True)
    assert cosine[-1] < 0.001
    assert rates(warmup=20)[19] == 1
    assert min(rates(warmup=0, floor=0.2)) >= 0.2
    assert rates(warmup=0, schedule="constant") == [1.0] * 100
    steps = rates(warmup=0, schedule="exponential", decay=0.5)
    assert [steps[0], steps[9], steps[10], steps[20]] == [1, 1, 0.5, 0.25]
