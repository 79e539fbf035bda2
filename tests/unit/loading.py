"""Loads settings as the tests of the three modules of settings write them."""

from pathlib import Path

from oicp_adapter.settings import Settings, examine_settings, load_settings

CANARY = "c4n4ry-s3cret"
OPERATOR = {"id": "DE*ABC", "certificate": "client.pem", "private_key": "client.key"}


def from_file(folder: Path, text: str, **environ: str) -> Settings:
    config = folder / "settings.toml"
    config.write_text(text, encoding="utf-8")
    return load_settings(config, None, environ)


def problems_of(folder: Path, text: str, **environ: str) -> list[str]:
    config = folder / "settings.toml"
    config.write_text(text, encoding="utf-8")
    settings, problems = examine_settings(config, None, environ)
    assert settings is None
    return [str(problem) for problem in problems]


def environment_problems(**environ: str) -> list[str]:
    settings, problems = examine_settings(None, None, environ)
    assert settings is None
    return [str(problem) for problem in problems]
