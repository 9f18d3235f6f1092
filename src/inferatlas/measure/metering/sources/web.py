"""One GET of a text over HTTP or HTTPS, within a time limit: for controllers and exporters on the network."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Mapping
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, ProxyHandler, Request, build_opener

from inferatlas.measure.metering.channel import Fault

MOST_BYTES = 64 * 2**20  # exporters of large machines send a few MB

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


class _SameHost(HTTPRedirectHandler):
    """Follows redirects within a server only: a password is not carried to another one."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # named as the standard library calls it
        if _origin(urljoin(req.full_url, newurl)) != _origin(req.full_url):
            raise HTTPError(req.full_url, code, "redirects to another server, which is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def fetch(
    url: str, timeout_s: float, *, headers: Mapping[str, str] | None = None, context: ssl.SSLContext | None = None
) -> tuple[str, Fault]:
    """The text at an address. Proxies are not used: controllers and exporters are near. Never raises.

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
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context), _SameHost())
    try:
        with opener.open(Request(url, headers=dict(headers or {})), timeout=timeout_s) as answer:
            return _read(answer, end)
    except HTTPError as error:
        error.close()
        return f"answers HTTP {error.code} {error.reason}", _STATUS.get(error.code, Fault.FAILED)
    except URLError as error:
        return _unreachable(error.reason)
    except (http.client.HTTPException, OSError, ValueError) as error:
        return _unreachable(error)


def _read(answer: http.client.HTTPResponse, end: float) -> tuple[str, Fault]:
    """The body, in pieces: a server that sends a byte now and then does not hold us beyond the end."""
    parts: list[bytes] = []
    while part := answer.read1(65536):
        parts.append(part)
        if time.monotonic() > end:
            return "did not finish its answer in time", Fault.TIMEOUT
        if sum(map(len, parts)) > MOST_BYTES:
            return f"sends more than {MOST_BYTES // 2**20} MiB", Fault.UNREADABLE
    if answer.length:  # of what it announced, not sent
        return "ends in the middle of its answer", Fault.UNREADABLE
    return b"".join(parts).decode("utf-8", "replace"), Fault.NONE


def _unreachable(reason: object) -> tuple[str, Fault]:
    if isinstance(reason, TimeoutError):
        return "does not answer in time", Fault.TIMEOUT
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"has a certificate that is not trusted: {reason.verify_message}", Fault.FAILED
    if isinstance(reason, ssl.SSLError):
        return f"does not speak TLS as expected: {reason.reason or 'connection closed'}", Fault.FAILED
    if isinstance(reason, http.client.IncompleteRead):
        return "ends in the middle of its answer", Fault.UNREADABLE
    if isinstance(reason, OSError):  # among them a name that does not resolve, and a server that hangs up
        return f"cannot be reached: {reason.strerror or type(reason).__name__}", Fault.DEVICE_LOST
    return f"does not speak HTTP as expected: {type(reason).__name__}", Fault.FAILED
