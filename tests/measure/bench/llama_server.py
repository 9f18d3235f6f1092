"""llama.cpp's own HTTP server on this machine, from the package xllamacpp: ``python llama_server.py MODEL.gguf``.

It prints its address in angle brackets when it listens, and serves until it is ended. One thread: several spin at
barriers, and on a machine with other work they then wait for each other.
"""

from __future__ import annotations

import signal
import sys


def serve(model: str, slots: int = 4, context: int = 4096) -> None:
    """``context``: tokens for each of ``slots`` requests in work at once."""
    import xllamacpp

    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.model_alias = {"tiny"}
    wanted.hostnames, wanted.port = ["127.0.0.1"], 0
    wanted.n_parallel, wanted.n_ctx = slots, slots * context
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = 1
    wanted.endpoint_metrics = True
    server = xllamacpp.Server(wanted)
    print(f"<{server.listening_address}>", flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1])
