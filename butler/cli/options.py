"""Options of the commands that stand over settings, and those that many commands share.

An option of that kind reads no variable by itself: what is given is passed to `load_settings` as
an argument, and so stands over variables and ``butler.toml`` like any other argument. Its range
and its help are the setting's own; a wrong value names the option and the variable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

import click

from butler.setting_sources import variable_of
from butler.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

# `-h` too, of every command.
HELP = {"help_option_names": ["-h", "--help"]}

Command = TypeVar("Command", bound="Callable[..., Any]")


class SettingOption(click.Option):
    """``--concurrency`` for the setting ``concurrency``."""

    def __init__(self, param_decls: Any = None, *, setting: str, **attrs: Any) -> None:
        field = Settings.model_fields[setting]
        self.setting = setting
        attrs.setdefault("type", _type_of(field))
        attrs.setdefault("help", _help_of(setting, field))
        super().__init__(param_decls, **attrs)

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """How an error calls it."""
        return f"{super().get_error_hint(ctx)} ({variable_of(self.setting)})"


def setting_option(
    flag: str, *, setting: str, metavar: str | None = None, about: str | None = None
) -> Callable[[Command], Command]:
    """An option over a setting; the command gets it under the setting's name, None if not given.

    ``about`` is its help where the setting's own does not fit the command.
    """
    is_number = Settings.model_fields[setting].annotation in {int, int | None}
    metavar = metavar or ("N" if is_number else None)
    own = {} if about is None else {"help": about}
    return click.option(flag, setting, cls=SettingOption, setting=setting, metavar=metavar, **own)


def given_settings() -> dict[str, Any]:
    """What the present command was given for settings."""
    context = click.get_current_context()
    return {
        option.setting: context.params[option.setting]
        for option in context.command.params
        if isinstance(option, SettingOption) and context.params[option.setting] is not None
    }


def command_settings() -> Settings:
    """The settings, those that the present command was given first; raises `SettingsError`."""
    return load_settings(**given_settings())


def app_options(command: Command) -> Command:
    """``--app`` and ``--app-dir``."""
    for add in (
        setting_option("--app-dir", setting="app_dir", metavar="DIR"),
        setting_option("--app", setting="app", metavar="MODULE:NAME"),
    ):
        command = add(command)
    return command


def json_option(command: Command) -> Command:
    """``--json``."""
    add = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
    return add(command)


def dry_run_option(command: Command) -> Command:
    """``--dry-run``."""
    add = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
    return add(command)


class _Text(click.ParamType):  # type: ignore[type-arg]
    """A text that the setting's own checks have passed."""

    name = "text"

    def __init__(self, field: FieldInfo) -> None:
        self._field = field

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """The text, as the setting keeps it."""
        from pydantic import TypeAdapter, ValidationError

        if not self._field.metadata:
            return str(value)
        try:
            checked = TypeAdapter(Annotated[str, *self._field.metadata]).validate_python(value)
        except ValidationError as error:
            self.fail(error.errors()[0]["msg"].removeprefix("Value error, "), param, ctx)
        return str(checked)


def _help_of(setting: str, field: FieldInfo) -> str:
    default = "" if field.default is None else f"; default: {_shown(field.default)}"
    text = (field.description or "").replace("`", "")
    return f"{text[0].upper()}{text[1:]}.  [{variable_of(setting)}{default}]"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type_of(field: FieldInfo) -> click.ParamType[Any]:
    kind = next((k for k in get_args(field.annotation) if k is not type(None)), field.annotation)
    if get_origin(field.annotation) is Literal:
        return click.Choice(get_args(field.annotation))
    limits: dict[str, Any] = {}
    for bound in field.metadata:
        limits |= {
            name: getattr(bound, name) for name in ("ge", "gt", "le") if hasattr(bound, name)
        }
    if kind not in {int, float}:
        return _Text(field)
    ranges = click.IntRange if kind is int else click.FloatRange
    return ranges(
        min=limits.get("ge", limits.get("gt")), max=limits.get("le"), min_open="gt" in limits
    )
