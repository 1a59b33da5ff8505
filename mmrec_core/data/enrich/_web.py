"""HTTP requests to public sites: limited rate, retries that honour Retry-After, limits on size and time."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from mmrec_core import __version__

LONGEST_WAIT_S = 60.0
"""Longest time that an answer's Retry-After is followed, in seconds."""
BACKOFF_S = 0.5
"""Pause before the second retry, in seconds; it doubles with each further one."""
RETRIES = 3
PART = 1 << 14
THROTTLED = (429, 500, 502, 503, 504)
"""Status codes after which a request is sent again."""
REASONS = {401: "refused", 403: "refused", 404: "missing", 410: "missing", 429: "too many requests"}


class Failure(Exception):
    """A request that gave nothing.

    Args:
        reason: a few words, such as "missing".
        lasting: whether another request would probably fail as well.
        status: the HTTP status, if there was an answer.
    """

    def __init__(self, reason: str, *, lasting: bool = False, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.lasting, self.status = reason, lasting, status

    @property
    def silent(self) -> bool:
        """Whether the site did not answer at all."""
        return self.status is None and self.reason in {"no connection", "too slow"}


class _Retry(Retry):
    """urllib3's retries, with a limit on the wait that a site asks for."""

    def parse_retry_after(self, retry_after: str) -> float:
        """Seconds to wait, at most :data:`LONGEST_WAIT_S`."""
        return min(super().parse_retry_after(retry_after), LONGEST_WAIT_S)


class PoliteClient:
    """A client for one source. It may be used by several threads; the rate holds for all of them together.

    Args:
        per_second: largest number of requests per second.
        seconds: time limit of one request, in seconds.
        retry: whether requests are sent again if the site is busy or does not answer.
    """

    def __init__(self, per_second: float, seconds: float = 30.0, retry: bool = True) -> None:
        self.per_second, self.seconds, self.retry = per_second, seconds, retry
        self._lock, self._next, self._own = threading.Lock(), 0.0, threading.local()

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        most_bytes: int = 16 << 20,
    ) -> bytes:
        """The body of an answer.

        Raises:
            Failure: no answer, an error, or a body that is too large, too slow or cut short.
        """
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Failure("no web address", lasting=True)
        for attempt in range(2 if self.retry else 1):
            self.wait()
            try:
                return self._get(url, params, headers, most_bytes)
            except Failure as failure:
                if attempt or failure.reason != "cut short" or not self.retry:
                    raise
        raise Failure("cut short")

    def json(self, url: str, params: Mapping[str, str]) -> Any:
        """The JSON value of an answer.

        Raises:
            Failure: as :meth:`get`, or no JSON.
        """
        body = self.get(url, params)
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Failure("no JSON") from None

    def wait(self) -> None:
        """Wait until the next request may be sent."""
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next)
            self._next = mine + 1 / self.per_second
        time.sleep(max(mine - now, 0))

    def pause(self, seconds: float) -> None:
        """Send nothing for a while, because the site asked for it."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + min(seconds, LONGEST_WAIT_S))

    def _session(self) -> requests.Session:
        """The session of this thread."""
        if not hasattr(self._own, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = user_agent()
            session.max_redirects = 5
            retry = _Retry(
                total=RETRIES if self.retry else 0,
                connect=1 if self.retry else 0,
                read=0,
                redirect=False,
                allowed_methods={"GET"},
                status_forcelist=THROTTLED,
                backoff_factor=BACKOFF_S,
                raise_on_status=False,
            )
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=retry))
            self._own.session = session
        own: requests.Session = self._own.session
        return own

    def _get(
        self, url: str, params: Mapping[str, str] | None, headers: Mapping[str, str] | None, most_bytes: int
    ) -> bytes:
        """Send one request and read its body."""
        pause = min(20.0, self.seconds)
        try:
            with self._session().get(
                url, params=params, headers=headers, stream=True, timeout=(pause, pause)
            ) as answer:
                if answer.status_code != 200:
                    gone = answer.status_code in {401, 403, 404, 410}
                    reason = REASONS.get(answer.status_code, f"status {answer.status_code}")
                    raise Failure(reason, lasting=gone, status=answer.status_code)
                return self._body(answer, most_bytes)
        except (requests.Timeout, TimeoutError):
            raise Failure("too slow") from None
        except requests.ConnectionError as error:
            raise Failure("too slow" if "timed out" in str(error) else "no connection") from None
        except HTTPError as error:  # urllib3's own, while the body is read
            raise Failure("too slow" if "timed out" in str(error) else "cut short", status=200) from None
        except requests.RequestException as error:
            lasting = isinstance(error, (requests.TooManyRedirects, requests.exceptions.InvalidURL, ValueError))
            raise Failure("no web address" if lasting else "no connection", lasting=lasting) from None

    def _body(self, answer: requests.Response, most_bytes: int) -> bytes:
        """Read a body part by part, within the limits of size and time."""
        until = time.monotonic() + self.seconds
        length = answer.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > most_bytes:
            raise Failure("too large", lasting=True, status=200)
        parts, size = [], 0
        while part := answer.raw.read1(PART, decode_content=True):  # one receive at a time, so that drops are noticed
            parts.append(part)
            size += len(part)
            if size > most_bytes:
                raise Failure("too large", lasting=True, status=200)
            if time.monotonic() > until:
                raise Failure("too slow", status=200)
        return b"".join(parts)


def user_agent() -> str:
    """The name under which requests are sent; ``MMREC_CONTACT`` adds an address, as Wikimedia asks bots to give one."""
    contact = os.environ.get("MMREC_CONTACT", "").strip()
    about = "an app for research on multimodal recommendation"
    return f"MMRec/{__version__} ({f'{about}; {contact}' if contact else about}) python-requests/{requests.__version__}"
