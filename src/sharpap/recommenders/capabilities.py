"""What a victim can do, so that nothing is measured that it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

from sharpap.errors import ConfigError, ContractError


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """An optional attribute, `capabilities`, of a recommender or of the scorer that its `fit` returns.

    Attributes:
        top_k: None: `score` gives every item's score. A number: the victim gives only its list of the `top_k` best items that
            a user does not have; `score` is -inf for all others. H, Recall and NDCG at up to `top_k` are then exact, and
            longer lists and mean ranks are not available.
        deterministic: the same seed and data give the same model.
    """

    top_k: int | None = None
    deterministic: bool = True

    def __post_init__(self) -> None:
        if self.top_k is not None and self.top_k < 1:
            raise ConfigError(f"top_k={self.top_k} must be 1 or more.")

    def reaches(self, k: int) -> bool:
        """Whether lists of length k are known."""
        return self.top_k is None or k <= self.top_k


def capabilities_of(*parts: object) -> Capabilities:
    """What a recommender and its scorer declare together: the shorter list, and deterministic only if both are.

    Raises:
        ContractError: an attribute `capabilities` that is no `Capabilities`.
    """
    declared = [each for part in parts if (each := getattr(part, "capabilities", None)) is not None]
    for each in declared:
        if not isinstance(each, Capabilities):
            raise ContractError(
                f"The attribute `capabilities` is a {type(each).__name__}.",
                hint="It must be a sharpap.Capabilities(top_k=..., deterministic=...), or absent.",
            )
    return Capabilities(
        top_k=min((each.top_k for each in declared if each.top_k is not None), default=None),
        deterministic=all(each.deterministic for each in declared),
    )
