"""Nothing switches the verification of the hub's certificate off: not the code, not a setting, not the environment."""

import ast
import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import pytest

import oicp_adapter
from oicp_adapter.oicp.development_pki import Authority, KeyPair
from oicp_adapter.settings import KNOWN, examine_settings
from reliability.real.process import eventually

PACKAGE = Path(oicp_adapter.__file__).parent
FORBIDDEN = frozenset(
    {
        "CERT_NONE",
        "CERT_OPTIONAL",
        "PROTOCOL_TLS",
        "PROTOCOL_SSLv23",
        "_create_unverified_context",
        "_create_default_https_context",
        "_create_stdlib_context",
        "create_default_context",  # reads SSL_CERT_FILE
        "load_default_certs",  # reads SSL_CERT_FILE
        "set_default_verify_paths",  # reads SSL_CERT_FILE
        "HTTPSConnection",  # makes a context of its own
        "disable_warnings",
    }
)
ASSIGNED = {"check_hostname": {"True"}, "verify_mode": {"ssl.CERT_REQUIRED"}}
PASSED = {"verify": {"True"}, "trust_env": {"False"}, "check_hostname": {"True"}, "assert_hostname": {"True"}}
WITHOUT_A_CLIENT = re.compile(r"^httpx\.(get|post|put|patch|delete|head|options|request|stream|AsyncClient)$")
"""Each of them makes a client of its own, which asks the environment for proxies and trust."""


def loopholes(source: str) -> list[str]:
    """Return each place of a module that could weaken TLS, as `line: what`."""
    judges = (names, imports, assignments, calls)
    return [
        f"{node.lineno}: {what}" for node in ast.walk(ast.parse(source)) for judge in judges for what in judge(node)
    ]


def names(node):
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        if name in FORBIDDEN:
            yield name


def imports(node):
    if isinstance(node, ast.ImportFrom):
        yield from FORBIDDEN & {each.name for each in node.names}
        if node.module == "ssl" and "wrap_socket" in {each.name for each in node.names}:
            yield "wrap_socket"
    if isinstance(node, ast.Import):
        yield from {"requests", "urllib3"} & {each.name for each in node.names}


def assignments(node):
    if isinstance(node, ast.Assign):
        for target in node.targets:
            name = target.attr if isinstance(target, ast.Attribute) else ""
            if name in ASSIGNED and ast.unparse(node.value) not in ASSIGNED[name]:
                yield ast.unparse(node)


def calls(node):
    if not isinstance(node, ast.Call):
        return
    name, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
    if name == "ssl.wrap_socket" or WITHOUT_A_CLIENT.match(name):
        yield name
    if name.endswith("SSLContext") and not re.search(r"PROTOCOL_TLS_(CLIENT|SERVER)", ast.unparse(node)):
        yield f"{name} without a side"
    yield from (f"{key}={value}" for key, value in given.items() if key in PASSED and value not in PASSED[key])
    if name == "httpx.Client" and not {"trust_env", "transport"} <= given.keys():
        yield "httpx.Client without trust_env=False and a transport of our own"
    if name == "setattr" and any(word in ast.unparse(node) for word in ASSIGNED):
        yield ast.unparse(node)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_weaken_tls(path):
    assert loopholes(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "httpx.Client(verify=False, trust_env=False, transport=mine)",
        "httpx.Client(verify=settings.verify, trust_env=False, transport=mine)",
        "httpx.Client(transport=mine)",
        "httpx.Client(trust_env=True, transport=mine)",
        "httpx.Client(trust_env=False)",
        "httpx.get('https://hub.example')",
        "context.verify_mode = ssl.CERT_NONE",
        "context.verify_mode = mode",
        "context.check_hostname = False",
        "context.check_hostname = hostname is not None",
        "setattr(context, 'check_hostname', 0)",
        "ssl._create_unverified_context()",
        "ssl._create_default_https_context = other",
        "ssl.create_default_context()",
        "context.load_default_certs()",
        "ssl.wrap_socket(plain)",
        "from ssl import wrap_socket",
        "from ssl import CERT_NONE as strict",
        "ssl.SSLContext()",
        "ssl.SSLContext(ssl.PROTOCOL_TLS)",
        "import requests",
    ],
)
def test_the_search_finds_what_weakens_tls(line):
    assert loopholes(line) != []


def test_no_setting_is_about_trust_but_the_authorities_file():
    keys = set(chain.from_iterable(KNOWN.values()))
    words = re.compile(r"verif|insecure|unsafe|trust|hostname|tls|ssl|cert|ca_|skip|proxy|cipher")
    # Behind a proxy is the control server, which asks nobody: its clients come to it.
    assert {key for key in keys if words.search(key)} == {"ca_file", "certificate", "behind_proxy"}


@pytest.mark.parametrize("name", ["VERIFY", "VERIFY_TLS", "INSECURE", "CHECK_HOSTNAME", "TRUST_ENV", "PROXY"])
def test_a_setting_that_would_switch_it_off_is_refused(name):
    settings, problems = examine_settings(None, None, {f"OICP_ADAPTER_HUB__{name}": "false"})
    assert settings is None
    assert "is no setting" in str(problems[0])


def test_a_hub_without_tls_is_refused():
    settings, problems = examine_settings(None, None, {"OICP_ADAPTER_HUB__URL": "http://hub.example/api/oicp"})
    assert settings is None
    assert "is not https" in str(problems[0])


OPENSSL_CONF = """
openssl_conf = weak
[weak]
ssl_conf = weak_ssl
[weak_ssl]
system_default = weak_default
[weak_default]
CipherString = ALL:@SECLEVEL=0
MinProtocol = TLSv1
{more}
"""


def hostile(tmp_path, authority, proxy, *, more=""):
    """Return an environment that does what it can to have an authority trusted and a proxy used."""
    openssl = tmp_path / "openssl.cnf"
    openssl.write_text(OPENSSL_CONF.format(more=more))
    bundle = str(authority.certificate)
    address = f"http://127.0.0.1:{proxy}"
    trusted = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "PIP_CERT")
    used = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("OICP_ADAPTER_")},
        **dict.fromkeys(trusted, bundle),
        **dict.fromkeys(used, address),
        **{name.lower(): address for name in used},
        "SSL_CERT_DIR": str(authority.certificate.parent),
        "PYTHONHTTPSVERIFY": "0",
        "PYTHONWARNINGS": "ignore",
        "SSLKEYLOGFILE": str(tmp_path / "keys.log"),
        "OPENSSL_CONF": str(openssl),
    }


@pytest.fixture
def evil(tmp_path):
    """An authority that nobody trusts, and what it says is the hub."""
    now = datetime.now(UTC)
    span = {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(days=1)}
    authority = Authority.create("Evil", **span)
    own = authority.issued.write(KeyPair(tmp_path / "evil-ca.pem", tmp_path / "evil-ca.key"))
    hub = authority.issue_hub(["localhost"], **span).write(KeyPair(tmp_path / "evil.pem", tmp_path / "evil.key"))
    return own, hub


@pytest.fixture
def wrong_host(workshop, tmp_path):
    """What the hub's own authority says is another host."""
    now = datetime.now(UTC)
    span = {"not_before": now - timedelta(hours=1), "not_after": now + timedelta(days=1)}
    issued = Authority.load(workshop.pki.hub_ca).issue_hub(["hub.example"], **span)
    return issued.write(KeyPair(tmp_path / "other.pem", tmp_path / "other.key"))


@pytest.fixture
def strangers(scripted, evil, wrong_host, workshop):
    """Start what is not the hub; return it, the authority that the environment names, and the one of the settings."""

    def start(what):
        if what == "another host":
            return scripted(pair=wrong_host), workshop.pki.hub_ca, workshop.pki.hub_ca.certificate
        return scripted(pair=evil[1]), evil[0], ""

    return start


CALM = {"settle": 10.0, "late_apply": 600.0, "lease": 20.0}


@contextmanager
def daemon(site, environment):
    """Run a daemon as a process of its own, since OpenSSL reads its environment once; yields its log."""
    errors = site.folder / "hostile.log"
    site.sections |= {"full_load": {"at": ""}, "push": CALM}
    arguments = [sys.executable, "-m", "oicp_adapter", "--config", str(site.config()), "run", "--monitoring-port", "0"]
    with errors.open("wb") as output:
        child = subprocess.Popen(arguments, stderr=output, stdin=subprocess.DEVNULL, env=environment, cwd=site.folder)
    try:
        yield errors
        assert b"canary" not in Path(f"/proc/{child.pid}/cmdline").read_bytes()
    finally:
        child.terminate()
        child.wait(30)


@pytest.mark.parametrize("what", ["an authority nobody trusts", "another host"])
def test_no_environment_makes_the_daemon_send_to_another_hub(site, tmp_path, strangers, what):
    hub, authority, ca_file = strangers(what)
    site.sections["hub"] |= {"url": hub.url, "ca_file": ca_file}
    site.operators[0]["private_key_password"] = "canary-3b7e"
    site.fleet(2)
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        with daemon(site, hostile(tmp_path, authority, proxy.getsockname()[1])) as log:
            eventually(lambda: '"reason": "tls"' in log.read_text())
        proxy.setblocking(False)  # noqa: FBT003 - the standard library's signature
        with pytest.raises(BlockingIOError):
            proxy.accept()
    assert hub.bodies == []
    assert "CERTIFICATE_VERIFY_FAILED" in log.read_text()
    assert "push.acknowledged" not in log.read_text()
    assert "canary-3b7e" not in log.read_text()


def test_in_the_same_environment_the_daemon_does_send_to_its_own_hub(site, scripted, tmp_path, evil):
    hub = scripted()
    site.sections["hub"]["url"] = hub.url
    site.fleet(2)
    with daemon(site, hostile(tmp_path, evil[0], 9)):
        eventually(lambda: hub.bodies)


@pytest.mark.parametrize("more", ["VerifyMode = Once", "VerifyCAFile = {ca}", "ChainCAFile = {ca}"])
def test_no_configuration_of_openssl_replaces_the_authorities(workshop, scripted, tmp_path, evil, more):
    """Its own file may forbid a context, but never make one that trusts another authority."""
    authority, hub = evil
    stranger = scripted(pair=hub)
    pair = workshop.pki.clients["DE*ABC"]
    code = f"""
from datetime import timedelta
from pathlib import Path
from oicp_adapter.oicp.client_identity import ClientIdentity
from oicp_adapter.oicp.client import HubClient, PushRequest, boottime
from oicp_adapter.sync.model import Action
identity = ClientIdentity(
    certificate=Path({str(pair.certificate)!r}), private_key=Path({str(pair.private_key)!r}),
    ca_file=Path({str(workshop.pki.hub_ca.certificate)!r}),
)
client = HubClient(base_url={stranger.url!r}, identity=identity, request_timeout=timedelta(seconds=5))
request = PushRequest(Action.UPDATE, "DE*ABC", "ABC", [], 0)
print(client.push(request, send_before=boottime() + 5).fault)
client.close()
"""
    environment = hostile(tmp_path, authority, 9, more=more.format(ca=authority.certificate))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "tls_handshake" if done.returncode == 0 else "ssl" in done.stderr.lower(), done
