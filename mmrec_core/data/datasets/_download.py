"""Downloads that resume, report progress, and are checked against published checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrec_core.errors import MMRecError
from mmrec_core.types import Progress


def fetch(url: str, folder: Path, progress: Progress, *, timeout_s: float = 20.0) -> Path:
    """Download a file into ``folder``, unless it is there and complete.

    An interrupted download leaves ``NAME.part``, and the next one continues it. The checksum is read from ``URL.md5``,
    as GroupLens publishes it; if there is none, the caller must check the content.

    Args:
        url: address of the file.
        folder: where to put it.
        progress: progress callback, in bytes.
        timeout_s: time limit of each request, in seconds.

    Returns:
        The file.

    Raises:
        MMRecError: no network, no such file, or a wrong checksum.
    """
    import pooch
    import requests

    name = url.rsplit("/", 1)[-1]
    part = folder / f"{name}.part"

    def resume(source: str, target: str, _: Any) -> None:
        """Continue the download of ``part``, then rename it to ``target``."""
        have = part.stat().st_size if part.exists() else 0
        with requests.get(
            source, headers={"Range": f"bytes={have}-"} if have else {}, stream=True, timeout=timeout_s
        ) as answer:
            if answer.status_code == 416:  # already complete
                part.replace(target)
                return
            answer.raise_for_status()
            appending = answer.status_code == 206
            have = have if appending else 0
            total = have + int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if appending else "wb") as file:
                for chunk in answer.iter_content(1 << 16):
                    file.write(chunk)
                    have += len(chunk)
                    progress(have, max(total, have), f"downloading {name}")
        if total and have < total:
            raise requests.ConnectionError(f"the connection closed after {have:,} of {total:,} bytes")
        part.replace(target)

    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    try:
        published = requests.get(f"{url}.md5", timeout=timeout_s)
        words = published.text.replace("=", " ").split() if published.ok else []
        digest = next((w for w in words if len(w) == 32 and all(c in "0123456789abcdef" for c in w)), None)
        return Path(
            pooch.retrieve(
                url, known_hash=f"md5:{digest}" if digest else None, fname=name, path=folder, downloader=resume
            )
        )
    except requests.RequestException as error:
        raise MMRecError(
            f"Could not download {url} ({type(error).__name__}). Check the network and run the same command again: it "
            f"continues where it stopped. Or put {name} into a folder named by MMREC_SOURCES."
        ) from None
    except ValueError as error:
        raise MMRecError(f"{url} arrived damaged: {error} Run the same command again.") from None
