"""The client: one thread that sends requests when they are due and stamps what comes back.

In: endpoints, when each request is due (`workload.Requests`) and its body (`asks.py`). Out: one `Answer` per request,
handed over as soon as it ended, and the client's own health. `sending.py` decides what is sent when (`feeding.py`
knows the order, `ahead.py` makes bodies in time), `pool.py` looks after all connections, `connection.py` is one socket
(with TLS where asked), `answer.py` reads a stream of events, `health.py` watches the client itself.
"""
