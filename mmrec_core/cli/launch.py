"""Start the app, and train the models of the demo in the background."""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Sequence

from mmrec_core import ownership, registry, settings
from mmrec_core.classroom import network
from mmrec_core.errors import MMRecError


def check_port(port: int, address: str = "localhost") -> None:
    """Check that a port is free.

    Raises:
        MMRecError: the port is in use, or it needs administrator rights.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            raise MMRecError(f"Port {port} needs administrator rights; choose one above 1023 with --port.") from None
        except OSError:
            raise MMRecError(
                f"Port {port} is in use, perhaps by MMRec itself (see http://localhost:{port}). "
                f"Stop that program, or choose another port: --port {port + 1}."
            ) from None


def https(certfile: str | None, keyfile: str | None) -> tuple[str, str] | None:
    """Certificate and key for HTTPS, checked; ``None`` where neither is given.

    Raises:
        MMRecError: one of them is missing, or they do not belong together.
    """
    if certfile is None and keyfile is None:
        return None
    if certfile is None or keyfile is None:
        raise MMRecError("HTTPS needs both a certificate and its key: --certfile CERT.pem --keyfile KEY.pem.")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile)
    except (OSError, ssl.SSLError) as error:  # SSLError is an OSError; a missing file is one, too
        why = error.strerror or type(error).__name__
        raise MMRecError(f"The certificate '{certfile}' and the key '{keyfile}' cannot be used: {why}.") from None
    return certfile, keyfile


def serve(
    port: int,
    showcase: str | None = None,
    headless: bool = False,
    host: str = "localhost",
    names: Sequence[str] = (),
    *,
    for_class: bool = False,
    https: tuple[str, str] | None = None,
) -> int:
    """Run the app until it is stopped.

    Args:
        port: port to listen on.
        showcase: dataset whose models are trained in the background once the app is up.
        headless: do not open a browser.
        host: address to listen on. On any address other than localhost, visitors need the owner's token to start work.
        names: further host names of the app.
        for_class: open a class and print how to join it.
        https: certificate and key; see :func:`https`.

    Returns:
        The exit code of the app.

    Raises:
        MMRecError: the port is in use, or Streamlit is not installed.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise MMRecError(
            "The app needs Streamlit, which is not installed here: pip install . "
            "or pip install -r requirements.txt in a checkout."
        )
    check_port(port, host)
    known = served_names(host, names)
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(settings.ROOT / "server.py"),
        "--server.port",
        str(port),
        "--server.address",
        host,
    ]
    command += [word for name in known for word in ("--server.allowedHosts", name)]
    shown = network.network_name(host, names) if for_class else None
    shown = shown or next((name for name in known if name not in ownership.LOCAL_NAMES), "localhost")
    command += [
        "--browser.serverAddress",
        shown,
    ]  # otherwise Streamlit asks a host on the internet for this machine's public address
    if https:
        command += ["--server.sslCertFile", https[0], "--server.sslKeyFile", https[1]]
    address = f"{'https' if https else 'http'}://{f'[{shown}]' if ':' in shown else shown}:{port}"
    reached = ownership.reached(host, for_class)
    environment = {**os.environ, "MMREC_LISTENS": reached, "MMREC_NAMES": ",".join(known), "MMREC_ADDRESS": address}
    if not ownership.is_local(reached):
        command += ["--server.maxMessageSize", "50"]  # MB; Streamlit takes 200 from anybody into its memory
        if for_class:
            print(class_announcement(address), flush=True)
        else:
            print(
                "Visitors may browse and rate. To start work they need the owner's token:\n"
                f"  {address}/?owner={ownership.token()}",
                flush=True,
            )
        if not https:
            print(
                "The connection is not encrypted: whoever shares the network can read it. For HTTPS: --certfile"
                " CERT.pem --keyfile KEY.pem.",
                flush=True,
            )
    _warm_up()
    app = subprocess.Popen(
        [*command, *(["--server.headless", "true"] if headless else [])], cwd=settings.ROOT, env=environment
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: app.terminate())
    if showcase:
        threading.Thread(target=_train_once_up, args=(app, port, showcase, bool(https)), daemon=True).start()
    try:
        return app.wait()
    except KeyboardInterrupt:
        app.terminate()
        return 0


def served_names(host: str, names: Sequence[str] = ()) -> list[str]:
    """Host names that requests may use: those of localhost, the address to listen on, and ``names``.

    If the app listens on all addresses, all addresses of this machine are included.
    """
    import psutil

    found = [*ownership.LOCAL_NAMES, *names]
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    if everywhere:
        own = [
            part.address.partition("%")[0]
            for parts in psutil.net_if_addrs().values()
            for part in parts
            if part.family in {socket.AF_INET, socket.AF_INET6}
        ]
        found += [socket.gethostname(), *own]
    elif host:
        found.append(host)
    return list(dict.fromkeys(name.strip().rstrip(".").lower() for name in found if name.strip()))


def class_announcement(address: str) -> str:
    """What ``serve --class`` prints: address, join code, QR code and the host's link. A class is opened for it.

    Args:
        address: address of the app, such as ``http://192.168.1.5:8501``.
    """
    import segno

    from mmrec_core.classroom import store
    from mmrec_core.data import preparation

    host = f"{address}/class?owner={ownership.token()}"
    ready = preparation.prepared()
    if not ready:
        return (
            f"No dataset is prepared yet. Open the host's link, prepare one, then open a class on the page Class:\n"
            f"  {host}"
        )
    opened = next((own for own in store.all_classes() if own.is_open and own.dataset in ready), None)
    opened = opened or store.create("demo" if "demo" in ready else ready[0], time.strftime("Class of %d %B %Y"))
    host = f"{address}/class?class={opened.id}&owner={ownership.token()}"
    link = f"{address}/class?code={opened.code}"
    drawn = io.StringIO()
    segno.make(link, error="m").terminal(drawn, compact=True, border=2)
    return (
        f"{drawn.getvalue()}\n  Join:      {link}\n  Join code: {opened.code}\n"
        f"  Host:      {host}\n             (keep this link to yourself: it may start, change and delete everything)"
    )


def _warm_up() -> None:
    """Read the settings of all models while the app starts, so that its first page need not wait for torch.

    Nothing is done where the home has read them before.
    """
    if all(os.path.exists(registry.schema_file("models", name)) for name in registry.names("models")):
        return
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    read = subprocess.Popen([sys.executable, "-m", "mmrec_core", "models", "--json"], cwd=settings.ROOT, **quiet)  # type: ignore[call-overload]
    threading.Thread(target=read.wait, daemon=True).start()  # so that it does not remain as a zombie process


def _train_once_up(app: subprocess.Popen[bytes], port: int, dataset: str, https: bool = False) -> None:
    context = ssl._create_unverified_context() if https else None  # this machine asks itself
    while app.poll() is None:
        try:
            where = f"{'https' if https else 'http'}://localhost:{port}/_stcore/health"
            with urllib.request.urlopen(where, timeout=2, context=context) as answer:
                if answer.status == 200:
                    break
        except OSError:
            time.sleep(0.5)
    time.sleep(3)  # let the first page load before training starts
    if app.poll() is None:
        from mmrec_core.jobs.showcase import showcase

        showcase(dataset, lambda: app.poll() is None)
