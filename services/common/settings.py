"""Every setting of the four services, read from the environment (`melalog doctor` prints them)."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BODY_OVERHEAD = 64 * 1024
"""Bytes that multipart framing and the questionnaire may add to the picture."""

PRIORS = {"gp": 0.025, "clinic": 0.016, "screening": 0.001}
"""Pigmented lesions kept for assessment by a GP; a pigmented-lesion clinic (3 of 193); SLICE-3D's .098 %, rounded."""


OPEN = (
    "{host} can be reached from other machines, and sign-in is off: set MELALOG_AUTH=required "
    "with MELALOG_OIDC_ISSUER and its like or MELALOG_API_KEYS_FILE, or say MELALOG_AUTH=off if something "
    "in front of it guards it"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Settings(BaseSettings):
    """Frozen; an unknown value of a known name stops the process with a message that names it."""

    model_config = SettingsConfigDict(env_prefix="MELALOG_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    orchestrator_bind_port: int = Field(3000, ge=1, le=65535)
    classifier_bind_port: int = Field(3001, ge=1, le=65535)
    vlm_bind_port: int = Field(3002, ge=1, le=65535)
    fusion_bind_port: int = Field(3003, ge=1, le=65535)

    classifier_url: str = "http://127.0.0.1:3001"
    vlm_url: str = "http://127.0.0.1:3002"
    fusion_url: str = "http://127.0.0.1:3003"

    deadline_s: float = Field(10.0, ge=1, le=120, description="time for one assessment, minted at the edge")
    max_body_mb: float = Field(15.0, gt=0, le=100, description="largest picture, in megabytes")
    max_in_flight: int = Field(32, ge=1, description="assessments at once; more are answered 429")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field((), description="comma-separated origins")

    @field_validator("cors_origins", "app_origins", mode="before", check_fields=False)
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    auth: Literal["auto", "off", "required"] = Field(
        "auto", description="sign-in; auto: off on this machine's own address, refused on any other"
    )
    oidc_issuer: str = Field("", description="of bearer tokens, exactly as in their `iss`")
    oidc_audience: str = Field("", description="what their `aud` must name")
    oidc_jwks_url: str = Field("", description="where the issuer's keys are")
    oidc_scope: str = Field("", description="a scope they must have; empty: none")
    oidc_client_id: str = Field("", description="the app's, told to it by GET /v1/sign-in")
    api_keys_file: str = Field("", description="hashes of API keys, as `melalog keys new` prints them")
    rate_per_minute: int = Field(30, ge=0, description="assessments per signed-in caller and replica; 0: no limit")
    log_key: SecretStr = Field(SecretStr(""), description="keys the callers' hashes in logs; empty: new at every start")
    log_key_file: str = Field(
        "", description="file that holds that key; where it is missing or empty: new at every start"
    )

    sandbox: bool = Field(default=False, description="canned answers, no models: for front-end developers")
    app_dir: str = Field("", description="folder of an app's web build; empty: the shipped one, if any")
    app_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated origins the app may call besides this one and the issuer"
    )

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        oidc = (self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url)
        if any(oidc) and not all(oidc):
            raise ValueError("MELALOG_OIDC_ISSUER, _AUDIENCE and _JWKS_URL belong together: set all three")
        url = urlsplit(self.oidc_jwks_url)
        if any(oidc) and url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ValueError("MELALOG_OIDC_JWKS_URL must begin with https://")
        if self.auth == "required" and not (any(oidc) or self.api_keys_file):
            raise ValueError("MELALOG_AUTH=required needs MELALOG_OIDC_ISSUER and its like, or MELALOG_API_KEYS_FILE")
        if self.auth == "auto" and not is_loopback(self.host):
            raise ValueError(OPEN.format(host=self.host))
        return self

    setting: Literal["gp", "clinic", "screening"] = Field(
        "gp", description="who shows spots here: sets the prior to 2.5 %, 1.6 % or 0.1 % (docs/evidence.md, section 2)"
    )
    prior: float = Field(
        PRIORS["gp"],
        gt=0,
        lt=0.5,
        description="melanoma share among lesions shown here, where it was measured; else the setting's",
    )
    high_melanoma: float = Field(0.03, gt=0, le=0.5, description="melanoma risk from which a level is high")
    high_malignant: float = Field(0.10, gt=0, le=0.9, description="risk of any skin cancer from which it is high")
    moderate_melanoma: float = Field(0.01, gt=0, le=0.5, description="melanoma risk from which it is moderate")
    moderate_malignant: float = Field(0.03, gt=0, le=0.9, description="risk of any skin cancer, moderate")
    stack: str = Field("", description="file of a fitted stack; empty: the shipped one")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.moderate_melanoma > self.high_melanoma or self.moderate_malignant > self.high_malignant:
            raise ValueError("a moderate threshold is above its high one (MELALOG_MODERATE_…, MELALOG_HIGH_…)")
        return self

    @model_validator(mode="before")
    @classmethod
    def _prior_of_setting(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"prior": PRIORS.get(given.get("setting", "gp"), PRIORS["gp"])} | given

    classifier_artifact: str = Field("", description="folder of a released classifier; empty: the shipped one")
    classifier_engine: Literal["auto", "onnxruntime", "openvino", "cuda", "tensorrt", "triton"] = Field(
        "auto", description="what runs the network; auto: openvino where the processor has bf16, else onnxruntime"
    )
    triton_url: str = Field(
        "127.0.0.1:8001", pattern=r"^[^/\s]+:\d+$", description="host:port of a Triton server's gRPC, for triton"
    )
    triton_model: str = Field("melalog_classifier", description="the model's name on that server")
    threads: int = Field(0, ge=0, description="the network's threads; 0: the cores this process may use")

    vlm_engine: Literal["embedded", "openai", "none"] = "embedded"
    vlm_base_url: str = Field("", description="of an OpenAI-compatible server, with its /v1")
    vlm_model: str = Field("melalog", description="the name that server gives the model, or a run-time adapter")
    vlm_artifact: str = Field(
        "", description="folder of a released vlm; empty: embedded takes the shipped one, openai is uncalibrated"
    )

    llm_api_key: SecretStr = Field(
        SecretStr(""), validation_alias=AliasChoices("MELALOG_LLM_API_KEY", "NEBIUS_API_KEY", "NEBIUS_KEY")
    )
    llm_api_key_file: str = Field(
        "", description="file that holds that key, read anew at each use; where it is missing or empty, no key"
    )
    llm_base_url: str = "https://api.tokenfactory.nebius.com/v1/"
    llm_model: str = "meta-llama/Llama-3.3-70B-Instruct"
    llm_tokens_per_day: int = Field(
        0, ge=0, description="that one fusion process may spend (UTC day); then the rules explain; 0: no cap"
    )
    llm_response_format: Literal["auto", "json_schema", "json_object", "none"] = Field(
        "auto", description="how that server is held to JSON; auto: the first of the three it does not refuse"
    )

    llm_traceparent: bool = Field(
        default=False, description="tell the hosted model's host which trace a request belongs to"
    )
    llm_price_prompt: float = Field(0.0, ge=0, description="of a million tokens sent, in your currency; 0: not known")
    llm_price_completion: float = Field(0.0, ge=0, description="of a million tokens written, in the same currency")

    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="OTLP/HTTP collector for traces, such as http://otel-collector:4318; empty: none are made",
    )

    @property
    def llm_key(self) -> str:
        """The hosted model's key, from its file where one is named; empty: it is not asked."""
        return _secret(self.llm_api_key_file, self.llm_api_key)

    @property
    def log_secret(self) -> bytes:
        """What callers' hashes in logs are keyed with; empty: nothing was given."""
        return _secret(self.log_key_file, self.log_key).encode()

    @property
    def max_picture_bytes(self) -> int:
        """Bytes a picture may have."""
        return round(self.max_body_mb * 1_000_000)

    @property
    def max_body_bytes(self) -> int:
        """Bytes a request body may have: the picture, its framing and the answers."""
        return self.max_picture_bytes + BODY_OVERHEAD

    def url(self, port: int) -> str:
        """Address of one of the services on this machine."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{port}"


def _secret(file: str, value: SecretStr) -> str:
    """A secret from its file, where one is named: Kubernetes changes that under a running process."""
    if not file:
        return value.get_secret_value()
    try:
        return Path(file).read_text().strip()
    except FileNotFoundError:
        return ""


def _name(loc: tuple[int | str, ...]) -> str:
    return f"MELALOG_{str(loc[0]).upper().removeprefix('MELALOG_')}: " if loc else ""


def load() -> Settings:
    """The settings in force. Ends the process with words, not a stack trace, when one of them is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = [f"  {_name(item['loc'])}{item['msg']}" for item in error.errors()]
        raise SystemExit("\n".join(["wrong setting:", *wrong])) from None
