"""One GET of a text over HTTP or HTTPS, within a time limit: for controllers and exporters on the network."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urljoin, urlsplit

from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.web import Connection, NoAnswer

MOST_BYTES = 64 * 2**20  # exporters of large machines send a few MB
MOST_REDIRECTS = 5

_STATUS = {
    401: Fault.PERMISSION_DENIED,
    403: Fault.PERMISSION_DENIED,
    404: Fault.NOT_SUPPORTED,
    405: Fault.NOT_SUPPORTED,
    408: Fault.TIMEOUT,
    410: Fault.NOT_SUPPORTED,
    501: Fault.NOT_SUPPORTED,
    504: Fault.TIMEOUT,
}
_KINDS = {
    "timeout": Fault.TIMEOUT,
    "refused": Fault.DEVICE_LOST,
    "unreachable": Fault.DEVICE_LOST,
    "cut": Fault.UNREADABLE,
    "too_large": Fault.UNREADABLE,
}


class _Refused(Exception):
    """No text; why, in words, and the fault."""


def fetch(
    url: str, timeout_s: float, *, headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
) -> tuple[str, Fault]:
    """The text at an address. Proxies are not used: controllers and exporters are near. Never raises.

    Redirects are followed within a server only: a password is not carried to another one.

    Parameters
    ----------
    url : http or https. timeout_s : for all of it, in seconds. headers : sent along. context : how TLS is checked.

    Returns
    -------
    text, fault : the text and `Fault.NONE`; with a fault, why, without the address and without any header.

    Examples
    --------
    >>> fetch("http://127.0.0.1:9/metrics", 1.0)
    ('cannot be reached: Connection refused', <Fault.DEVICE_LOST: 4>)
    """
    end = time.monotonic() + timeout_s
    try:
        for _ in range(MOST_REDIRECTS):
            text, other = _get(url, end, headers or {}, context)
            if other is None:
                return text, Fault.NONE
            url = other
        raise _Refused("redirects without end", Fault.FAILED)
    except _Refused as error:
        why, fault = error.args
        return why, fault
    except NoAnswer as error:
        return error.why, _KINDS.get(error.kind, Fault.FAILED)
    except (OSError, ValueError) as error:
        return f"cannot be asked: {type(error).__name__}", Fault.FAILED


def _get(url: str, end: float, headers: Mapping[str, str], context: ssl.SSLContext | None) -> tuple[str, str | None]:
    """The text at an address, or the address that it redirects to."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise _Refused("has no address", Fault.FAILED)
    with closing(Connection(parts.scheme, parts.hostname, parts.port, context=context)) as connection:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        reply = connection.ask(path, end, headers={"Connection": "close"} | dict(headers), most_bytes=MOST_BYTES)
    if reply.status in (301, 302, 303, 307, 308):
        other = urljoin(url, reply.headers.get("location", ""))
        if _origin(other) != _origin(url):
            raise _Refused("redirects to another server, which is not followed", Fault.FAILED)
        return "", other
    if reply.status != 200:
        said = f"answers HTTP {reply.status} {reply.reason}".strip()
        raise _Refused(said, _STATUS.get(reply.status, Fault.FAILED))
    return reply.text, None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port
