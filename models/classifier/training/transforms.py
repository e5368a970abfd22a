"""torchvision's transforms (v2) by name in a training plan."""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor

if TYPE_CHECKING:
    from torchvision.transforms import v2

Name = Literal[
    "AugMix",
    "AutoAugment",
    "CenterCrop",
    "ColorJitter",
    "GaussianBlur",
    "RandAugment",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomAutocontrast",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomPerspective",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "TrivialAugmentWide",
]
CROPS = ("CenterCrop", "RandomCrop", "RandomResizedCrop")


class Transform(BaseModel):
    """`{name: RandomRotation, degrees: 180}`: the other keys are the transform's own arguments.

    Crops end at the size of the stage where no `size` is given.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    name: Name

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        try:
            self.make(64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: {error}") from None
        return self

    def make(self, size: int) -> "v2.Transform":
        """The transform, for pictures that end at this size."""
        from torchvision.transforms import v2  # noqa: PLC0415  (three seconds, for the few plans that name a transform)

        arguments = dict(self.__pydantic_extra__ or {})
        if self.name in CROPS:
            arguments.setdefault("size", size)
        if "interpolation" in arguments:
            arguments["interpolation"] = v2.InterpolationMode(arguments["interpolation"])
        if self.name == "AutoAugment" and "policy" in arguments:
            arguments["policy"] = v2.AutoAugmentPolicy(arguments["policy"])
        made: v2.Transform = getattr(v2, self.name)(**arguments)
        return made


class Chain:
    """Transforms one after the other, for every picture of a batch with draws of its own."""

    def __init__(self, transforms: tuple[Transform, ...]) -> None:
        self.transforms = transforms
        self._made: dict[int, list[v2.Transform]] = {}

    @cached_property
    def crops(self) -> bool:
        """Whether the pictures come out at the size of the stage."""
        return any(transform.name in CROPS for transform in self.transforms)

    def __call__(self, batch: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """uint8 [N, 3, S, S] to uint8 [N, 3, S or size, S or size]; torch's global random state is left alone."""
        if not self.transforms:
            return batch
        if size not in self._made:
            self._made[size] = [transform.make(size) for transform in self.transforms]
        with torch.random.fork_rng(devices=[]):  # torchvision draws from the global state
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            return torch.stack([self._one(picture, self._made[size]) for picture in batch])

    @staticmethod
    def _one(picture: Tensor, made: "list[v2.Transform]") -> Tensor:
        for transform in made:
            picture = transform(picture)
        return picture
