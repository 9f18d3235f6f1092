"""A command line without its secrets: as a record keeps it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

MASK = "***"
# Words that say that what follows is secret, at the end of a flag or of a name: --api-key, HF_TOKEN, but not
# --max-tokens, --api-key-env.
WORDS = r"(?:api[-_]?key|key|token|password|passwd|passphrase|secret|credentials?|auth|authorization|bearer)"
FLAG = re.compile(rf"--?(?:[\w-]*[-_])?{WORDS}", re.IGNORECASE)
WHOLE = re.compile(rf"((?:--?)?(?:[\w-]*[-_])?{WORDS}\s*[=:]\s*).+", re.IGNORECASE | re.DOTALL)  # all of an argument
WITHIN = re.compile(
    rf"(?i)([?&;,\s\"'](?:[\w-]*[-_])?{WORDS}[\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^&\s\"';]+"
)
SCHEME = re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]+")
USER = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^\s?#]*@")
KNOWN = re.compile(r"\b(?:sk-|hf_|nvapi-|gsk_|xai-|AIza)[\w-]{8,}")  # how keys of well-known services begin


def masked(argv: Sequence[str]) -> list[str]:
    """Arguments with values of key, token and password flags, headers, and users in addresses replaced.

    Examples
    --------
    >>> masked(["--api-key", "sk-1", "-H", "Authorization: Bearer x", "--max-tokens", "8", "--api-key-env", "KEY"])
    ['--api-key', '***', '-H', 'Authorization: ***', '--max-tokens', '8', '--api-key-env', 'KEY']
    >>> masked(["--base-url=https://me:pw@host/v1?token=abc&x=1"])
    ['--base-url=https://***@host/v1?token=***&x=1']
    """
    found: list[str] = []
    secret = False
    for one in argv:
        found.append(MASK if secret and not one.startswith("--") else _masked(one))
        secret = FLAG.fullmatch(one) is not None
    return found


def command_line(argv: Sequence[str]) -> str:
    """A masked command line in one string, quoted so that it can be typed again; the program without its folder.

    Examples
    --------
    >>> command_line(["/home/me/bin/inferatlas", "bench", "run", "--slo", "ttft:p95<500ms"])
    "inferatlas bench run --slo 'ttft:p95<500ms'"
    """
    if not argv:
        return ""
    program, *rest = argv
    quoted = shlex.join([re.split(r"[/\\]", program)[-1], *masked(rest)])
    return quoted.replace(f"'{MASK}'", MASK)


def _masked(text: str) -> str:
    if whole := WHOLE.fullmatch(text):
        return whole[1] + MASK
    text = USER.sub(rf"\1{MASK}@", text)
    text = WITHIN.sub(rf"\1{MASK}", text)
    text = SCHEME.sub(rf"\1{MASK}", text)
    return KNOWN.sub(MASK, text)
