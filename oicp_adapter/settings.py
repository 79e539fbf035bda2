"""
Holds the settings: what can be set, what is allowed, and what a wrong one is told.

1. One rule: command line > environment > file > default. The sources are read by `settings_sources`, the single
   values are judged by `settings_values`.
2. Everything is immutable, durations are `timedelta`, secrets are `SecretStr`; the store's URL holds no password.
3. All problems are found in one go; each names the key, what is wrong and what is expected.
4. Each field's description is its documentation and the end of its error message.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from oicp_adapter.domain.errors import ConfigurationError, MappingRefusedError, foreign_text
from oicp_adapter.domain.identifiers import CanonicalOperatorId, OperatorId, operator_key
from oicp_adapter.domain.statuses import StatusMapping
from oicp_adapter.settings_sources import Raw, config_file, gather, nearest
from oicp_adapter.settings_values import (
    OWN_KINDS,
    SHOWN_VALUE,
    FilePath,
    HubUrl,
    MappingOverrides,
    OperatorIdText,
    OptionalFilePath,
    OptionalRelation,
    OptionalSecret,
    Port,
    Seconds,
    Share,
    StoreUrl,
    TimeOfDay,
    TimeZoneName,
    Whole,
)
from oicp_adapter.sync.model import Policy

_NEVER_SHOWN: Final = ("password", "private_key_password", "private_key", "url")
_SEND_WITHIN: Final = Policy().send_within


class PushMode(StrEnum):
    """What happens with the requests that the lanes plan."""

    LIVE = "live"
    """They are sent."""

    SHADOW = "shadow"
    """They are computed and logged, and nothing is sent."""

    OFF = "off"
    """No lane works."""


class LogFormat(StrEnum):
    """How a log line looks; `auto` is JSON when stderr is no terminal."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class Section(BaseModel):
    """What all sections have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class StoreSettings(Section):
    """The shared store."""

    url: StoreUrl = Field(
        "sqlite:////var/lib/oicp-adapter/store.db",
        description="sqlite:////absolute/path or postgresql://user@host/database, without a password once loaded",
    )
    password: OptionalSecret = Field(None, description="the password of the database user")
    password_file: OptionalFilePath = Field(None, description="a file that holds the password of the database user")
    sweep_every: Seconds = Field(timedelta(seconds=300), description="seconds between full comparisons")
    status_relation: OptionalRelation = Field(
        None, description='a table or view to read instead of evse_status, spelt as in SQL: charging."EVSE view"'
    )
    temporary_relation: OptionalRelation = Field(
        None, description="a table or view to read instead of temporary_status, spelt as in SQL; the adapter sets none"
    )


class HubSettings(Section):
    """Hubject, or the simulator."""

    url: HubUrl = Field(
        "https://service-qa.hubject.com/api/oicp",
        description="an https URL that ends in /api/oicp; the default is QA, never production",
    )
    ca_file: OptionalFilePath = Field(
        None, description="the PEM file of the authorities that may sign the hub's certificate; else the system's"
    )
    request_timeout: Seconds = Field(timedelta(seconds=60), description="seconds for the whole exchange")


class OperatorSettings(Section):
    """One hub account: a lane."""

    id: OperatorIdText = Field(description="the OperatorID as the certificate spells it, as DE*ABC or +49*810")
    name: str = Field("", max_length=100, description="the OperatorName, at most 100 characters")
    certificate: FilePath = Field(description="the PEM file of the client certificate, with its chain")
    private_key: FilePath = Field(description="the PEM file of its private key")
    private_key_password: OptionalSecret = Field(None, description="the password of the private key")
    private_key_password_file: OptionalFilePath = Field(
        None, description="a file that holds the password of the private key"
    )
    sub_operators: tuple[OperatorIdText, ...] = Field(
        (), description="a list of the OperatorIDs whose EVSEs this account may push too"
    )

    @property
    def operator_id(self) -> OperatorId:
        """The OperatorID as it is spelt, the only form that may leave the house."""
        return OperatorId(self.id)

    @property
    def canonical(self) -> CanonicalOperatorId:
        """The form in which all spellings of this operator are equal."""
        return operator_key(self.id)

    @property
    def operator_keys(self) -> frozenset[CanonicalOperatorId]:
        """The canonical forms of the account's own operator and of its sub operators."""
        return frozenset(operator_key(text) for text in (self.id, *self.sub_operators))


class PushSettings(Section):
    """How the lanes push."""

    mode: PushMode = Field(PushMode.LIVE, description="live, shadow (computes and logs, sends nothing) or off")
    max_records: Whole = Field(1000, ge=1, le=10_000, description="the number of records in one request, 1 to 10000")
    requests_per_minute: Whole = Field(
        1800, ge=2, le=2000, description="requests a minute and lane, 2 to 2000, the hub's limit"
    )
    max_withdrawn_share: Share = Field(0.10, description="the share of a lane, 0 to 1, that may disappear in 24 h")
    settle: Seconds = Field(timedelta(seconds=10), description="seconds of silence after an unanswered request")
    late_apply: Seconds = Field(
        timedelta(seconds=600), description="seconds for which an unanswered request may still be applied"
    )
    reassert_every: Seconds = Field(
        timedelta(seconds=21600), description="seconds after which each EVSE is asserted again at the latest"
    )
    lease: Seconds = Field(timedelta(seconds=20), description="seconds after which a standby takes over")


class FullLoadSettings(Section):
    """When a lane is loaded as a whole."""

    at: TimeOfDay = Field("03:00", description='HH:MM, daily, or "" for never')
    time_zone: TimeZoneName = Field("UTC", description="an IANA name as Europe/Berlin")


class MonitoringSettings(Section):
    """Where metrics and health are served."""

    host: str = Field("127.0.0.1", min_length=1, description="the address to listen on")
    port: Port = Field(9464, description="the port to listen on, 0 to 65535, 0 for a free one")


class ControlSettings(Section):
    """Where the control API and the operator page are served."""

    host: str = Field("127.0.0.1", min_length=1, description="the address to listen on")
    port: Port = Field(8464, description="the port to listen on, 0 to 65535, 0 for a free one")
    certificate: OptionalFilePath = Field(None, description="the PEM file of the server's certificate, for https")
    private_key: OptionalFilePath = Field(None, description="the PEM file of its private key")
    behind_proxy: bool = Field(
        default=False,
        description="true when a proxy speaks https, sets X-Forwarded-For anew, and nobody else reaches this address",
    )

    def danger(self) -> ConfigurationError | None:
        """Return why it may not be served so, since tokens travel there; None: it may."""
        if self.certificate is not None or self.behind_proxy or _is_loopback(self.host):
            return None
        return ConfigurationError(
            f"the control server would listen on {self.host} without TLS, and anybody on the way could read the tokens",
            cure="name control.certificate and control.private_key, or set control.behind_proxy for a proxy with https",
        )


class LogSettings(Section):
    """How the daemon speaks."""

    format: LogFormat = Field(LogFormat.AUTO, description="auto, console or json")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")


class Settings(Section):
    """All settings; `load_settings` makes them, tests may build them directly."""

    store: StoreSettings = StoreSettings()
    hub: HubSettings = HubSettings()
    operators: tuple[OperatorSettings, ...] = ()
    push: PushSettings = PushSettings()
    full_load: FullLoadSettings = FullLoadSettings()
    mapping: MappingOverrides = Field({}, description="overrides as Offline = OutOfService")
    monitoring: MonitoringSettings = MonitoringSettings()
    control: ControlSettings = ControlSettings()
    log: LogSettings = LogSettings()

    def policy(self) -> Policy:
        """Return what the decisions depend on; a request starts within half a lease of its intent."""
        return Policy(
            max_records=self.push.max_records,
            requests_per_minute=self.push.requests_per_minute,
            max_withdrawn_share=self.push.max_withdrawn_share,
            request_timeout=self.hub.request_timeout,
            send_within=min(_SEND_WITHIN, self.push.lease / 2),
            settle=self.push.settle,
            late_apply=self.push.late_apply,
            reassert_every=self.push.reassert_every,
            lease=self.push.lease,
            full_load_at=self.full_load.at,
            full_load_zone=self.full_load.time_zone,
        )

    def status_mapping(self) -> StatusMapping:
        """
        Return the OICP column of the table with the overrides of `[mapping]`.

        Raises:
            MappingRefusedError: An override would publish an unusable charger as Available.
        """
        return StatusMapping(self.mapping)


SECTIONS: Final[Mapping[str, type[Section]]] = {
    "store": StoreSettings,
    "hub": HubSettings,
    "operators": OperatorSettings,
    "push": PushSettings,
    "full_load": FullLoadSettings,
    "monitoring": MonitoringSettings,
    "control": ControlSettings,
    "log": LogSettings,
}
"""The sections with keys of their own, in the order of the documentation; `mapping` takes any status word."""

KNOWN: Final[Mapping[str, Sequence[str]]] = {
    **{name: tuple(section.model_fields) for name, section in SECTIONS.items()},
    "mapping": (),
}
"""The keys of each section; none: any word."""


def load_settings(
    config: Path | None,
    overrides: Mapping[str, object] | None,
    environ: Mapping[str, str],
) -> Settings:
    """
    Read the settings from the command line, the environment and the file, in this order of precedence.

    Args:
        config: The TOML file; None: the one that `OICP_ADAPTER_CONFIG` names; if that is absent too, no file.
        overrides: Values of the command line by dotted key, as `{"monitoring.port": 0}`; None: there are none.
        environ: The environment, `os.environ` in production.

    Raises:
        ConfigurationError: Anything is wrong; several problems stand on lines of their own.
    """
    settings, problems = examine_settings(config, overrides, environ)
    if settings is not None:
        return settings
    if len(problems) == 1:
        raise problems[0]
    lines = "".join(f"\n  {problem}" for problem in problems)
    raise ConfigurationError(f"{len(problems)} settings are wrong", cure=f"correct each of them{lines}")


def settings_files(config: Path | None, environ: Mapping[str, str], settings: Settings) -> Sequence[Path]:
    """Return the files that these settings come from: the TOML file, and those that hold passwords."""
    secrets = (settings.store.password_file, *(each.private_key_password_file for each in settings.operators))
    return [path for path in (config_file(config, environ), *secrets) if path is not None]


def examine_settings(
    config: Path | None,
    overrides: Mapping[str, object] | None,
    environ: Mapping[str, str],
) -> tuple[Settings | None, Sequence[ConfigurationError]]:
    """Do what `load_settings` does, and return either the settings or each problem."""
    raw = gather(config=config, overrides=overrides or {}, environ=environ, known=KNOWN)
    try:
        settings = Settings.model_validate(raw.values)
    except ValidationError as exc:
        return None, [*raw.problems, *(_problem(error, raw) for error in exc.errors(include_url=False))]
    problems = [*raw.problems, *_contradictions(settings)]
    return (None, problems) if problems else (settings, ())


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _problem(error: ErrorDetails, raw: Raw) -> ConfigurationError:
    key = _dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            section = str(error["loc"][0])
            known = KNOWN[section] if len(error["loc"]) > 1 else tuple(KNOWN)
            return ConfigurationError(f"{raw.place(key)} is no setting", cure=nearest(str(error["loc"][-1]), known))
        case "missing":
            return ConfigurationError(f"{raw.place(key)} is missing", cure=f"expected {_description(error['loc'])}")
        case "mapping":
            return ConfigurationError("[mapping] cannot be used", cure=str(error["ctx"]["wrong"]))
        case _ if isinstance(error["input"], Mapping | list | tuple) or error["type"] == "model_type":
            return ConfigurationError(f"{raw.place(key)} has another shape", cure=f"expected {_expected(error['loc'])}")
        case kind:
            hidden = len(error["loc"]) == 1 or error["loc"][-1] in _NEVER_SHOWN or kind == "path"
            shown = "" if hidden else f" = {foreign_text(error['input'], SHOWN_VALUE)}"
            own = error["msg"] if kind in OWN_KINDS else "is not allowed"
            return ConfigurationError(f"{raw.place(key)}{shown} {own}", cure=f"expected {_expected(error['loc'])}")


def _dotted(location: Sequence[int | str]) -> str:
    key = ""
    for part in location:
        shown = f"[{part}]" if isinstance(part, int) else f".{foreign_text(part, SHOWN_VALUE)}"
        key += shown
    return key.removeprefix(".")


def _description(location: Sequence[int | str]) -> str | None:
    names = [part for part in location if isinstance(part, str)]
    section = SECTIONS.get(names[0]) if len(names) > 1 else None
    fields: Mapping[str, Any] = section.model_fields if section else {}
    return fields[names[1]].description if section and names[1] in fields else None


def _expected(location: Sequence[int | str]) -> str:
    return _description(location) or ("a list of tables, [[operators]]" if location[0] == "operators" else "a table")


def _contradictions(settings: Settings) -> list[ConfigurationError]:
    """Find what no single key shows: two lanes for one operator, and an override that lies to drivers."""
    owners: Counter[CanonicalOperatorId] = Counter()
    spelling: dict[CanonicalOperatorId, str] = {}
    for operator in settings.operators:
        owners.update(operator.operator_keys)
        spelling.update({operator_key(text): text for text in (operator.id, *operator.sub_operators)})
    found = [
        ConfigurationError(
            f"operators names {spelling[key]} in {count} lanes",
            cure="let one [[operators]] entry push the EVSEs of an operator, as id or in sub_operators",
        )
        for key, count in owners.items()
        if count > 1
    ]
    if (settings.control.certificate is None) != (settings.control.private_key is None):
        found.append(
            ConfigurationError(
                "control names a certificate or a private key, not both", cure="name both for https, or neither"
            )
        )
    try:
        settings.status_mapping()
    except MappingRefusedError as exc:
        found.append(exc)
    return found
