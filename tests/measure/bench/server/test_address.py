"""A base URL is read as people type it; what may be secret in it is refused and never repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.address import PATHS, authorisation, endpoint_at, headers_for


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        ("http://h:8000", "http://h:8000"), ("http://h:8000/", "http://h:8000"), ("h:8000", "http://h:8000"),
        ("localhost", "http://localhost"), ("https://h/v1", "https://h"), ("https://h:443/v1/", "https://h"),
        ("http://H:80", "http://h"), ("http://h/openai/v1", "http://h/openai"), ("h:1/a/b/", "http://h:1/a/b"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"), ("[fe80::1]", "http://[fe80::1]"), (" h:8000\n", "http://h:8000"),
        ("http://h:8000/v1/chat/completions", "http://h:8000"), ("http://h/v1/completions/", "http://h"),
        ("http://h/v1/models", "http://h"), ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"), ("HTTP://h", "http://h"), ("http://h/v10", "http://h/v10"),
    ],
)  # fmt: skip
def test_what_people_type(typed, printed):
    endpoint = endpoint_at(typed)
    assert str(endpoint) == printed
    assert endpoint.url("chat") == printed + "/v1/chat/completions"
    assert endpoint_at(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "typed",
    ["", " ", "http://", "ftp://h", "http://h:99999", "http://h:0", "http://h:x", "http://[::1", "::1:8000", "h:",
     "/v1", "http://a b", "http://h\\x", "unix:///run/x", "http://h\n.x",
     "http://" + "a" * 70 + ".example"],
)  # fmt: skip
def test_no_address(typed):
    with pytest.raises(BadInput) as found:
        endpoint_at(typed)
    assert found.value.field == "base_url"


def test_an_address_of_version_6_without_brackets_says_so():
    with pytest.raises(BadInput, match="brackets"):
        endpoint_at("http://::1:8000")


@pytest.mark.parametrize(
    "typed", ["https://me:s3cret@h", "me:s3cret@h:8000", "http://h?key=s3cret", "http://h/#s3cret"]
)
def test_secrets_in_an_address_are_refused_and_not_repeated(typed):
    with pytest.raises(BadInput) as found:
        endpoint_at(typed)
    assert "s3cret" not in str(found.value)
    assert "environment" in str(found.value)


@given(some.text(max_size=40))
def test_whatever_is_typed_is_an_address_or_bad_input(typed):
    try:
        endpoint = endpoint_at(typed)
    except BadInput:
        return
    assert endpoint_at(str(endpoint)) == endpoint
    assert all(endpoint.url(name).isascii() for name in PATHS)


def test_a_key_comes_from_the_environment_and_is_not_shown():
    header = authorisation("KEY", {"KEY": "sk-s3cret\n"})  # as files end
    assert header["Authorization"] == "Bearer sk-s3cret"
    assert "s3cret" not in f"{header}{header!r}"
    assert authorisation(None, {"OPENAI_API_KEY": "k"})["Authorization"] == "Bearer k"
    assert authorisation(None, {}) == {}


@pytest.mark.parametrize("key", ["", "a\nb", "a\rb", "€", "a\x00"])
def test_a_key_that_no_header_can_carry(key):
    with pytest.raises(BadInput) as found:
        authorisation("KEY", {"KEY": key})
    assert found.value.field == "api_key_env"
    assert key == "" or key not in str(found.value)


def test_a_key_goes_to_its_server_only():
    server = endpoint_at("http://h:8000/v1")
    assert headers_for("http://h:8000/metrics", server, {"A": "b"}) == {"A": "b"}
    for other in ("http://h:8001/metrics", "https://h:8000/metrics", "http://g:8000/metrics"):
        assert headers_for(other, server, {"A": "b"}) == {}
