"""The weights of classifier and vlm on the same image, fitted once for a pair of models.

`models/released/fusion/stack.json` holds the coefficients for one (classifier, vlm) pair of digests.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Weight = Annotated[float, Field(ge=0)]
"""Never negative: a more suspicious model must not lower the risk."""


class StackError(ValueError):
    """A stack file that cannot be read; the message names the file."""


class Stack(BaseModel):
    """Log-odds for melanoma = intercept + classifier * c + vlm * v, each a logit minus the logit of its prevalence."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    schema_version: Literal[1]
    classifier_sha256: str
    vlm_sha256: str
    intercept: float
    classifier: Weight
    vlm: Weight
    sd: Annotated[float, Field(ge=0)]
    prevalence: Annotated[float, Field(gt=0, lt=1)]
    fitted_on: str
    n: int
    metrics: dict[str, Any] = {}

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read a file; None when there is none. Raises StackError."""
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise StackError(f"{path} is not a stack of schema version 1") from error

    def fits(self, classifier_sha256: str | None, vlm_sha256: str | None) -> bool:
        """Whether it was fitted for this pair of models; None: the vlm did not answer."""
        return classifier_sha256 == self.classifier_sha256 and vlm_sha256 in (None, self.vlm_sha256)

    def shift(self, classifier: float, vlm: float) -> float:
        """Log-odds of the image from the two models' shifts."""
        return self.intercept + self.classifier * classifier + self.vlm * vlm
