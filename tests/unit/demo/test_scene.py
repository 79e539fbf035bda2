"""The settings that the demo writes for its daemon."""

from datetime import timedelta

from oicp_adapter.demo.places import ACCOUNTS
from oicp_adapter.demo.scene import settings_text
from oicp_adapter.settings import load_settings


def test_the_settings_name_the_store_the_hub_and_each_account(tmp_path):
    folder = tmp_path / 'with "quotes" and \N{ELECTRIC PLUG}'
    folder.mkdir()
    announced = {
        "url": "https://localhost:4711/api/oicp",
        "ca_file": str(folder / "hub-ca.pem"),
        "operators": {
            account.operator_id: {"certificate": str(folder / "c.pem"), "private_key": str(folder / "c.key")}
            for account in ACCOUNTS
        },
    }
    path = tmp_path / "oicp-adapter.toml"
    path.write_text(settings_text(folder / "store.db", ACCOUNTS, announced), encoding="utf-8")

    settings = load_settings(path, None, {})

    assert settings.store.url == f"sqlite:///{folder / 'store.db'}"
    assert settings.hub.url == announced["url"]
    assert settings.hub.ca_file == folder / "hub-ca.pem"
    assert [(each.id, each.sub_operators) for each in settings.operators] == [("DE*ABC", ("DE*XYZ",)), ("+43*822", ())]
    assert settings.operators[1].private_key == folder / "c.key"
    assert settings.policy().request_timeout < timedelta(seconds=10)
