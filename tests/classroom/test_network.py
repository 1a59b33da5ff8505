"""A class beside a local app: a second server on the network, which is closed again; HTTPS; what is printed."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mmrec_core import ownership
from mmrec_core.classroom import network, store
from mmrec_core.cli import launch
from mmrec_core.errors import MMRecError
from mmrec_core.types import Dataset


def test_a_second_server_opens_and_closes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers under the host's link, is found again, and is gone after it was closed; visitors do neither."""

    def no(what: str) -> None:
        raise MMRecError(f"Only the owner may {what}.")

    monkeypatch.setattr(network, "PORTS", range(18502, 18600))
    monkeypatch.setenv("MMREC_LISTENS", "localhost")  # of the local app whose owner pressed the button
    monkeypatch.setenv("MMREC_PUBLISHED", "localhost")
    assert network.opened() is None
    ownership.guard(no)
    for act in (network.open_server, network.close_server):
        with pytest.raises(MMRecError, match="Only the owner"):
            act()
    ownership.guard(None)
    found = network.open_server()
    try:
        port = found["port"]
        assert network.open_server() == found == network.opened() and ownership.token() in found["host"]
        assert (home / network.FILE).stat().st_mode & 0o077 == 0
        with urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=10) as answer:
            assert answer.status == 200
        assert (home / network.LOG).stat().st_mode & 0o077 == 0
        assert listening(port) == "0.0.0.0", "whoever comes from the network is a visitor"
        assert f"://{network.network_name('0.0.0.0')}:{port}/class?owner=" in (home / network.LOG).read_text()
    finally:
        network.close_server()
    assert network.opened() is None
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://localhost:{port}/_stcore/health", timeout=5)


def listening(port: int) -> str | None:
    """What the app's process at a port believes to listen on."""
    import psutil

    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "streamlit" in words and str(port) in words:
                return process.environ().get("MMREC_LISTENS")
        except psutil.Error:
            continue
    return None


@pytest.mark.parametrize(
    ("host", "for_class", "environment", "expected"),
    [
        ("localhost", False, {}, "localhost"),
        ("0.0.0.0", False, {}, "0.0.0.0"),
        ("0.0.0.0", False, {"MMREC_LISTENS": "localhost"}, "0.0.0.0"),
        ("0.0.0.0", True, {"MMREC_LISTENS": "localhost"}, "0.0.0.0"),
        ("localhost", False, {"MMREC_LISTENS": "0.0.0.0"}, "0.0.0.0"),
        ("0.0.0.0", False, {"MMREC_PUBLISHED": "localhost"}, "localhost"),
        ("0.0.0.0", True, {"MMREC_PUBLISHED": "localhost"}, "0.0.0.0"),
    ],
)
def test_another_servers_environment_opens_nothing(
    host: str, for_class: bool, environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everybody is the owner on localhost, so only a container's own word may say that an address is local."""
    for name in ("MMREC_LISTENS", "MMREC_PUBLISHED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ownership.reached(host, for_class) == expected


def test_the_announcement_has_all_that_a_host_needs(
    demo: Dataset, shared_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Address, code, QR code and the host's link; an open class is used again."""
    monkeypatch.setenv("MMREC_HOME", str(shared_home))
    said = launch.class_announcement("http://10.0.0.7:8501")
    made = store.all_classes()[0]
    assert f"http://10.0.0.7:8501/class?code={made.code}" in said and made.code in said
    assert f"class={made.id}&owner={ownership.token()}" in said and "█" in said
    assert made.code in launch.class_announcement("http://10.0.0.7:8501") and len(store.all_classes()) == 1
    store.delete(made.id)


def test_https_needs_a_certificate_and_its_key(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), "-days",
            "1", "-subj", "/CN=localhost"]  # fmt: skip
    if subprocess.run(make, capture_output=True, check=False).returncode:
        pytest.skip("needs openssl")
    assert launch.https(None, None) is None and launch.https(str(cert), str(key)) == (str(cert), str(key))
    for pair in ((str(cert), None), (None, str(key)), (str(cert), str(cert)), (str(tmp_path / "none"), str(key))):
        with pytest.raises(MMRecError, match="certificate"):
            launch.https(*pair)


@pytest.mark.parametrize(
    ("host", "names", "shown"),
    [("10.0.0.5", (), "10.0.0.5"), ("0.0.0.0", ("lab.example.org",), "lab.example.org"), ("::1", (), "::1")],
)
def test_the_name_for_others(host: str, names: tuple[str, ...], shown: str) -> None:
    assert network.network_name(host, names) == shown
    assert network.network_name("0.0.0.0") not in {"0.0.0.0", "localhost"}
