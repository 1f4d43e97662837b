"""One victim by name or by the user's code, with its settings, and with other values of one of them."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from sharpap.config import build, locate
from sharpap.config.objects import parameters
from sharpap.config.sections import catalogue_name
from sharpap.config.space import flatten
from sharpap.config.toml import with_values
from sharpap.config.varied import Value
from sharpap.errors import ConfigError, ContractError, listed
from sharpap.tuned import tuned

if TYPE_CHECKING:
    from sharpap.recommenders import Recommender


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A recommender by name or code, its options, and where they come from."""

    target: str
    options: dict[str, Any]
    origin: str

    def make(self, options: dict[str, Any] | None = None) -> Recommender:
        """The recommender, with its own options or others."""
        table = {"name": self.target, **(self.options if options is None else options)}
        if locate.is_code(table["name"]):
            given = {name: each for name, each in table.items() if name != "name"}
            return locate.recommender(table["name"], given, where="victim")
        return build("victim", table, where="victim")

    def varied(self, setting: str, value: Value) -> Recommender:
        """The recommender with another value of a setting."""
        if isinstance(value, str) and isinstance(self._default(setting), (int, float)):
            raise ConfigError(
                f"--vary {setting}={value}: that is no number, and its default is {self._default(setting)}."
            )
        try:
            return self.make(with_values({"victim": self.options}, {f"victim.{setting}": value})["victim"])
        except (ConfigError, ContractError) as error:
            names = listed(self._settings, 20)
            raise ConfigError(
                f"--vary {setting}={value}: {error.message}",
                hint=f"{error.hint or ''} The settings of {self.target}: {names}.".strip(),
            ) from None

    def _default(self, setting: str) -> object:
        """Of a parameter of the user's code, which need not say of what type it is."""
        found = parameters(locate.locate(self.target)) if locate.is_code(self.target) else {}
        return found[setting].default if setting in found else None

    @property
    def _settings(self) -> list[str]:
        if locate.is_code(self.target):
            return list(parameters(locate.locate(self.target)))
        made: Any = self.make()
        return [field.name for field in fields(made)] if is_dataclass(made) else []


def victim_of(target: str, recipe: dict[str, Any], *, take_tuned: bool) -> Victim:
    """Settings of the user's own go before those that were tuned on the data, and these before a class's defaults."""
    options = recipe["victim"]
    if options:
        said = ", ".join(f"{name}={value}" for name, value in flatten(options))
        return Victim(target=target, options=options, origin=f"Settings given: {said}.")
    source = catalogue_name(recipe)
    found = tuned(source).get(target) if take_tuned else None
    if found is not None:
        said = ", ".join(f"{name}={value}" for name, value in found.settings.items())
        origin = (
            f"Its settings are those tuned on {source}'s validation data: {said}; --set tuned=false takes its defaults."
        )
        return Victim(target=target, options=dict(found.settings), origin=origin)
    return Victim(target=target, options={}, origin="" if locate.is_code(target) else "Its settings are its defaults.")
