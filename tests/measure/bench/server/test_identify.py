"""A server is waited for, its model chosen, its engine named as it says itself, and no key leaves it."""

import json
import socket
import threading
import time

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.address import authorisation, endpoint_at
from inferatlas.measure.bench.server.identify import identify


def models(*names, **more):
    return {"object": "list", "data": [{"id": name, "object": "model"} | more for name in names]}


def found(server, **options):
    return identify(endpoint_at(server.url), **({"patience_s": 5.0} | options))


SGLANG = {
    "model_path": "m", "version": "0.5.23", "tp_size": 2, "api_key": "s3cret", "hf_token": "s3cret",
    "internal_states": [{}], "mem_fraction_static": None,
}  # fmt: skip
LLAMACPP = {
    "build_info": "b8681", "total_slots": 4, "chat_template": "x", "default_generation_settings": {"n_ctx": 1024},
}  # fmt: skip
TGI = {"model_id": "m", "version": "3.3.5", "max_total_tokens": 2048, "sha": None}
# engine: its page of metrics, its model, another page and where, what is found
ENGINES = {
    "vLLM": ("vllm", {"owned_by": "vllm", "max_model_len": 4096}, "/version", {"version": "0.32.0"},
             ("0.32.0", 4096, "cache_dtype", "auto")),
    "SGLang": ("sglang", {"owned_by": "sglang", "max_model_len": 512}, "/get_server_info", SGLANG,
               ("0.5.23", 512, "tp_size", 2)),
    "llama.cpp": ("llamacpp", {"owned_by": "llamacpp", "meta": {"n_ctx": 1024}}, "/props", LLAMACPP,
                  ("b8681", 1024, "total_slots", 4)),
    "TGI": ("tgi", {"owned_by": "m"}, "/info", TGI, ("3.3.5", 2048, "max_total_tokens", 2048)),
    "TensorRT-LLM": ("tensorrt_llm", {"owned_by": "tensorrt_llm"}, "/version", {"version": "1.2.0"},
                     ("1.2.0", None, "", None)),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_say_what_they_are(serve, page, engine):
    text, model, path, more, (version, context, flag, value) = ENGINES[engine]
    where = "/prometheus/metrics" if engine == "TensorRT-LLM" else "/metrics"
    server = serve({"/v1/models": models("m", **model), path: more, where: page(text)})
    one = found(server)
    assert (one.name, one.version, one.model, one.context_tokens) == (engine, version, "m", context)
    assert one.metrics_url == server.url + where
    assert one.flags.get(flag) == value
    assert "s3cret" not in json.dumps(one.as_dict())
    assert 0 < one.round_trip_s < 5


@pytest.mark.parametrize(("engine", "text"), [("vLLM", "vllm_0"), ("Triton", "triton")])
def test_metrics_alone_tell_an_engine(serve, page, engine, text):
    assert found(serve({"/v1/models": models("m"), "/metrics": page(text)})).name == engine


def test_a_server_that_says_nothing_of_itself_stays_unknown(serve):
    one = found(serve({"/v1/models": models("m", owned_by="somebody"), "/version": {"version": "1.0"}}))
    assert (one.name, one.version, one.metrics_url, one.context_tokens, one.flags) == (None, "1.0", None, None, {})
    assert "no metrics" in one.notes[0]


def test_the_mock(mock_url):
    one = identify(endpoint_at(mock_url))
    assert (one.name, one.model, one.context_tokens) == ("mock", "mock", 131072)
    assert one.metrics_url == f"{mock_url}/metrics"


def test_a_server_that_is_not_ready_is_waited_for(serve):
    told = []
    pages = {"/v1/models": 503}

    def waiting(waited_s, why):
        told.append(why)
        pages["/v1/models"] = models("m")

    assert found(serve(pages), waiting=waiting).waited_s > 0
    assert told == ["answers HTTP 503"]


def test_a_server_that_is_still_to_be_started_is_waited_for(serve):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = []

    def waiting(_, why):
        told.append(why)
        if len(told) == 1:
            listener = socket.create_server(("127.0.0.1", port))
            threading.Thread(target=one_model, args=(listener,), daemon=True).start()

    assert identify(endpoint_at(f"127.0.0.1:{port}"), patience_s=5.0, waiting=waiting).model == "m"
    assert told[0] == "cannot be reached: Connection refused"


def one_model(listener):
    """A server of the plainest kind: one connection, one answer to everything."""
    body = json.dumps(models("m")).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    sock, _ = listener.accept()
    with sock:
        while sock.recv(65536):
            sock.sendall(head + body)


def test_a_model_that_is_still_loading_is_waited_for(serve):
    pages = {"/v1/models": models("m"), "/health": 503}
    assert found(serve(pages), waiting=lambda *_: pages.update({"/health": 200})).model == "m"


@pytest.mark.parametrize("page", [503, lambda handler: setattr(handler, "close_connection", True)])
def test_patience_ends(serve, page):
    begin = time.monotonic()
    with pytest.raises(BadInput, match=r"after 0\.\d s") as error:
        found(serve({"/v1/models": page}), patience_s=0.1)
    assert error.value.field == "base_url"
    assert time.monotonic() - begin < 3.0


def test_a_server_that_never_answers_does_not_hold_us(serve, monkeypatch):
    monkeypatch.setattr("inferatlas.measure.bench.server.identify.ANSWER_S", 0.05)
    server = serve({"/v1/models": lambda handler: server.over.wait(20)})
    with pytest.raises(BadInput, match="does not answer in time"):
        found(server, patience_s=0.0)


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n", b"\0" * 64])
def test_what_is_no_http_is_not_waited_for(serve, said):
    def speak(handler):
        handler.wfile.write(said)
        handler.close_connection = True

    with pytest.raises(BadInput, match="does not speak HTTP"):
        found(serve({"/v1/models": speak}), patience_s=60.0)


def test_an_answer_without_end_is_given_up(serve, monkeypatch):
    monkeypatch.setattr("inferatlas.measure.bench.server.identify.MOST_BYTES", 2**16)

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.wfile.write(b" " * 65536)

    with pytest.raises(BadInput, match="sends more than"):
        found(serve({"/v1/models": endless}))


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"data": 3}', b"[" * 100_000, b"\xff"])
def test_what_is_no_list_of_models_is_refused(serve, body):
    with pytest.raises(BadInput, match="no list of models"):
        found(serve({"/v1/models": body}))


@pytest.mark.parametrize(("headers", "said"), [({}, "asks for a key"), ({"Authorization": "Bearer no"}, "refuses")])
@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_missing_or_wrong_is_not_waited_for(serve, headers, said, status):
    with pytest.raises(BadInput, match=said) as error:
        found(serve({"/v1/models": status}), headers=headers, patience_s=60.0)
    assert error.value.field == "api_key_env"


def test_a_redirect_is_not_followed_and_the_key_stays(serve):
    other = serve({"*": models("m")})
    pages = {"/v1/models": lambda handler: serve.answer(handler, 307, Location=f"{other.url}/v1/models?token=s3cret")}
    with pytest.raises(BadInput) as error:
        found(serve(pages), headers=authorisation("K", {"K": "s3cret"}))
    assert other.url in str(error.value)
    assert "s3cret" not in str(error.value)
    assert other.asked == []


def test_the_key_goes_to_the_server_and_not_to_metrics_elsewhere(serve, page):
    other = serve({"/metrics": page("triton")})
    server = serve({"/v1/models": models("m")})
    one = found(server, headers={"Authorization": "Bearer k"}, metrics_url=f"{other.url}/metrics")
    assert {key for _, key, _ in server.asked} == {"Bearer k"}
    assert {key for _, key, _ in other.asked} == {None}
    assert one.metrics_url == f"{other.url}/metrics"


@pytest.mark.parametrize("url", ["h:8002", "ftp://h/x", "http://me:s3cret@h/metrics"])
def test_metrics_that_are_named_have_an_address(serve, url):
    with pytest.raises(BadInput) as error:
        found(serve({"/v1/models": models("m")}), metrics_url=url)
    assert error.value.field == "metrics_url"
    assert "s3cret" not in str(error.value)


def test_metrics_that_are_named_are_there(serve):
    server = serve({"/v1/models": models("m"), "/other": "up 1\n"})
    with pytest.raises(BadInput, match="no known metrics"):
        found(server, metrics_url=f"{server.url}/other")


def test_tls_is_checked(serve, certificates):
    server = serve({"/v1/models": models("m")}, certificates.server)
    assert found(server, context=certificates.client).model == "m"
    with pytest.raises(BadInput, match="not trusted") as error:
        found(server, patience_s=60.0)
    assert "--ca-file" in (error.value.hint or "")
    plain = serve({"/v1/models": models("m")})
    with pytest.raises(BadInput, match="is it http, not https"):
        identify(endpoint_at(plain.url.replace("http:", "https:")))


@pytest.mark.parametrize(
    ("named", "near"),
    [("llama-3-8b", "meta-llama/Llama-3-8B"), ("META-LLAMA/LLAMA-3-8B", "meta-llama/Llama-3-8B"),
     ("Qwen/Qwen3-8", "Qwen/Qwen3-8B")],
)  # fmt: skip
def test_a_model_that_is_not_served(serve, named, near):
    with pytest.raises(BadInput, match=f"did you mean {near}") as error:
        found(serve({"/v1/models": models("meta-llama/Llama-3-8B", "Qwen/Qwen3-8B")}), model=named)
    assert error.value.field == "model"
    assert "Qwen/Qwen3-8B" in error.value.allowed


def test_one_of_several_models_is_to_be_named(serve):
    server = serve({"/v1/models": models(*(f"m{n}" for n in range(20)))})
    with pytest.raises(BadInput, match="lists 20 models") as error:
        found(server)
    assert error.value.allowed.endswith("m11 and 8 more")
    assert found(server, model="m7").model == "m7"


@pytest.mark.parametrize("page", [404, 405, models()])
def test_a_server_without_a_list_serves_what_is_named(serve, page):
    one = found(serve({"/v1/models": page}), model="mine")
    assert (one.model, one.models) == ("mine", ())
    assert "taken as it is" in one.notes[0]
    with pytest.raises(BadInput, match="name the model"):
        found(serve({"/v1/models": page}))


def test_engines_that_serve_any_name_are_taken_at_it(serve):
    one = found(serve({"/v1/models": models("M/tiny.gguf", owned_by="llamacpp", aliases=["small"])}), model="tiny")
    assert one.model == "tiny"
    assert "does not list 'tiny'" in one.notes[0]


def test_a_round_trip_is_measured_on_one_connection(serve):
    server = serve({"/v1/models": models("m")})
    found(server)
    assert len({port for _, _, port in server.asked}) == 1
