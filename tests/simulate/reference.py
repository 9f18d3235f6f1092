"""The scheduler's rules as a plain program: one step at a time, every request and its blocks looked at in each.

It shares nothing with `inferatlas.simulate.kernel` but the step times (`law.seconds_of`). Sections 2.1 to 2.5 of the
serving reference; where that leaves a choice it is said here:

- the block of a prompt that ends in a unit belongs to it; blocks can be found from the end of the step on in which they
  were computed; those of an answer from its end on, without the last token, which was never in the cache;
- a request uses the units that it found, all their blocks; the units used least recently are given up first, of those
  that one request left the deepest, of a unit its last block;
- a replica that has nothing to do looks again at every arrival and when a transfer ends;
- decoding requests have blocks and tokens before prompts; one that is preempted for a prompt leaves its token unused.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field

from inferatlas.simulate.fleet import Fleet, Pool
from inferatlas.simulate.law import seconds_of
from inferatlas.workload.requests import Requests

NAN = math.nan


@dataclass(eq=False)
class Request:
    """One request; ``length``: its tokens in the cache while it decodes, ``own``: its blocks that nobody shares."""

    id: int
    input: int
    output: int
    before: float
    think: float
    units: list[int]
    phase: str = "unsent"
    prompt: int = 0
    computed: int = 0
    made: int = 0
    length: int = 0
    own: int = 0
    shared: int = 0  # leading blocks of its sequence that are blocks of units
    uses: list[int] = field(default_factory=list)
    computed_at: float = NAN
    admitted: float = NAN
    first: float = NAN
    finish: float = NAN
    moved: float = NAN
    preempted: int = 0
    hit: int = 0
    giver: Replica | None = None
    taker: Replica | None = None

    def __lt__(self, other: Request) -> bool:
        return self.id < other.id


class Unit:
    """A piece of prefixes on one replica: how many of its blocks are there, and who uses them."""

    def __init__(self, begin: int, end: int, block: int) -> None:
        self.first, self.whole = begin // block, end // block - begin // block
        self.begin, self.end = begin, end
        self.have = 0
        self.users: set[int] = set()
        self.left = 0  # when its last user left: a number that grows


class Replica:
    def __init__(self, pool: Pool, cells: list[tuple[int, int]]) -> None:
        s, law = pool.scheduler, pool.law
        self.law, self.role, self.s = law, pool.role, s
        by_token = s.prefix_cache == "tokens"
        self.block = 1 if by_token else law.block_tokens
        scale = law.block_tokens if by_token else 1
        self.blocks = (s.kv_blocks or law.blocks) * scale
        self.fixed = law.fixed_blocks * scale
        self.swap_block_s = law.block_bytes / scale / law.host_bytes_per_s if s.swap else 0.0
        self.step_tokens = s.step_tokens or law.step_tokens
        self.slots = min(s.max_sequences or law.max_sequences, law.max_sequences)
        self.static = s.policy == "static"
        self.reserve = s.reserve_whole or self.static
        self.cached = s.prefix_cache != "none"
        self.units = [Unit(begin, end, self.block) for begin, end in cells]
        self.leaving = 0
        self.running: list[Request] = []
        self.waiting: list[Request] = []
        self.door: list[Request] = []  # cached elsewhere, waiting for a slot and blocks here
        self.promised: dict[Request, int] = {}  # their cache is on its way to so many blocks
        self.joining: list[Request] = []
        self.ended: list[Request] = []  # of a static batch: they keep their slots
        self.moving: list[Request] = []  # their blocks are here until the transfer ends
        self.outstanding = 0
        self.chunks: dict[Request, int] = {}
        self.decoding: list[Request] = []  # in the step under way
        self.busy_until = math.inf
        self.pause = 0.0
        self.most_used = 0

    # Blocks

    def count(self, tokens: int) -> int:
        return -(-tokens // self.block) + self.fixed

    def used(self) -> int:
        own = sum(q.own for q in self.running + self.joining + self.moving)
        return own + sum(self.promised.values()) + sum(u.have for u in self.units if u.users)

    def free(self) -> int:
        """Blocks that can be taken, of which some may hold prefixes that nobody uses now."""
        return self.blocks - self.used()

    def take(self, q: Request, blocks: int) -> None:
        q.own += blocks
        self.give_up()

    def give_up(self) -> None:
        idle = sorted((u for u in self.units if not u.users and u.have), key=lambda u: u.left)
        used = self.used()  # what is idle is not among it, so that giving up changes nothing of it
        over = sum(u.have for u in idle) - (self.blocks - used)
        for unit in idle:
            while unit.have and over > 0:
                unit.have -= 1
                over -= 1
        self.most_used = max(self.most_used, used)
        assert used <= self.blocks

    def found(self, q: Request) -> tuple[int, list[int]]:
        """Tokens of a prompt in memory, whole blocks, without its last token; and the units that hold them."""
        leading, units = 0, []
        for u in q.units if self.cached else []:
            unit = self.units[u]
            if unit.begin >= q.prompt or (unit.whole and not unit.have):
                break
            units.append(u)
            leading = unit.first + unit.have
            if unit.have < unit.whole:
                break
        tokens = min(leading, (q.prompt - 1) // self.block) * self.block
        return (tokens, units) if tokens else (0, [])

    def use(self, q: Request, u: int) -> None:
        if u not in q.uses:
            self.units[u].users.add(q.id)
            q.uses.append(u)

    def publish(self, q: Request, computed: int) -> None:
        """Blocks that are full belong to their units from now on; a second copy is given back."""
        for u in q.units if self.cached else []:
            unit = self.units[u]
            if unit.begin >= computed:
                break
            upto = min(unit.end, computed) // self.block
            here = upto - unit.first
            if not unit.users and unit.have > here:
                break  # another copy, longer than what this request has of it yet
            self.use(q, u)
            unit.have = max(unit.have, here)
            q.own -= max(upto - q.shared, 0)
            q.shared = max(upto, q.shared)

    def release(self, q: Request) -> None:
        q.own = q.shared = 0
        for u in reversed(q.uses):
            self.units[u].users.discard(q.id)
            if not self.units[u].users:
                self.leaving += 1
                self.units[u].left = self.leaving
        q.uses = []
        self.give_up()

    # A step begins

    def begin(self, now: float) -> float | None:
        """Decide a step; its seconds, or None where there is nothing to do."""
        self.chunks, self.decoding, self.pause = {}, [], 0.0
        for q in self.joining:
            q.phase, q.length = "decode", q.prompt
            self.running.append(q)
        self.joining = []
        if self.plan(now) and not self.chunks and not self.decoding:
            self.plan(now)  # a step that nobody is left in takes no time
        return self.seconds()

    def plan(self, now: float) -> bool:
        """Fill a step; whether somebody was preempted."""
        preempted = again = False
        if self.s.policy == "budget":
            preempted = self.make_room()
            left, again = self.go_on(self.step_tokens - len(self.decoders()))
            if not (preempted or again):
                self.admit(now, left)
            self.decoding = self.decoders()
        elif self.s.policy == "prefill-first":
            left, preempted = self.go_on(self.step_tokens)
            if not preempted:
                self.admit(now, left)
            if not self.chunks:
                again = self.make_room()
                self.decoding = self.decoders()
        else:
            if not self.running:
                self.admit(now, self.step_tokens)
            else:
                self.go_on(self.step_tokens)
            if not self.chunks:
                self.decoding = list(self.running)
        return preempted or again

    def decoders(self) -> list[Request]:
        return [q for q in self.running if q.phase == "decode"]

    def make_room(self) -> bool:
        preempted = False

        def lacking() -> int:
            return sum(self.lacks(q, q.length + 1) for q in self.decoders())

        while lacking() > self.free():
            self.preempt(self.running[-1])
            preempted = True
        for q in self.decoders():
            self.take(q, self.lacks(q, q.length + 1))
        return preempted

    def lacks(self, q: Request, tokens: int) -> int:
        return 0 if self.reserve else max(self.count(tokens) - q.own - q.shared, 0)

    def go_on(self, left: int) -> tuple[int, bool]:
        """The prompts under way."""
        preempted = False
        for q in [q for q in self.running if q.phase == "prompt"]:
            if q.phase != "prompt" or left <= 0:
                continue
            tokens = min(q.prompt - q.computed, left, self.s.chunk_limit or left)
            while q.phase == "prompt" and self.lacks(q, q.computed + tokens) > self.free():
                self.preempt(self.running[-1])
                preempted = True
            if q.phase == "prompt":
                self.take(q, self.lacks(q, q.computed + tokens))
                self.chunks[q] = tokens
                left -= tokens
        return left, preempted

    def preempt(self, q: Request) -> None:
        self.running.remove(q)
        assert q not in self.chunks
        if q.phase == "decode":
            if self.s.swap:
                self.pause += self.count(q.length) * self.swap_block_s
            q.prompt = q.input + q.made
            q.phase = "swapped" if self.s.swap else "waiting"
        else:
            q.phase = "waiting"
        q.computed = 0
        q.preempted += 1
        self.release(q)
        self.waiting.insert(0, q)

    def admit(self, now: float, left: int) -> None:
        full = left
        while self.waiting and len(self.running) + len(self.promised) + len(self.joining) < self.slots and left > 0:
            q = self.waiting[0]
            if q.phase == "swapped":
                need = self.count(q.prompt)
                if need > self.free():
                    return
                self.running.append(self.waiting.pop(0))
                later = self.s.policy == "prefill-first"  # prompts may come before the step in which it decodes
                self.take(q, self.count(q.prompt - 1) if later else need)
                self.pause += need * self.swap_block_s
                q.phase, q.length = "decode", q.prompt - 1
                left -= 1
                full -= 1
                continue
            there, units = self.found(q)
            tokens = q.prompt - there
            if self.s.chunked:
                tokens = min(tokens, left, self.s.chunk_limit or left)
            elif tokens > left and (self.chunks or left < full):
                return
            upto = q.input + q.output if self.reserve else there + tokens
            need = self.count(upto) - there // self.block
            idle = sum(self.units[u].have for u in units if not self.units[u].users)
            if need + idle > self.free():
                return
            self.running.append(self.waiting.pop(0))
            for u in units:
                self.use(q, u)
            q.shared = there // self.block
            self.take(q, need)
            q.phase, q.computed = "prompt", there
            if math.isnan(q.admitted):
                q.admitted, q.hit = now, there
            self.chunks[q] = tokens
            left -= tokens

    def seconds(self) -> float | None:
        b = len(self.decoding)
        mean = sum(q.length + 1 for q in self.decoding) / b if b else 0.0
        n = sum(self.chunks.values())
        if n:
            pairs = sum(tokens * (q.computed + tokens / 2) for q, tokens in self.chunks.items())
            step = seconds_of(self.law.grid, b, mean, n, pairs / n, len(self.chunks))
        elif b:
            step = seconds_of(self.law.grid, b, mean)
        else:
            return None
        return step + self.s.host_s + self.pause


class Link:
    """Transfers under way share the rate evenly, each up to its lane."""

    def __init__(self, total: float, lane: float, latency: float) -> None:
        self.total, self.lane, self.latency = total, min(lane, total), latency
        self.left: dict[Request, float] = {}
        self.at = 0.0

    def rate(self) -> float:
        return min(self.lane, self.total / max(len(self.left), 1))

    def pass_to(self, now: float) -> None:
        for q in self.left:
            left = self.left[q] - self.rate() * (now - self.at)
            self.left[q] = left if left > 1e-6 else 0.0  # bytes: those that end together do so whatever the rounding
        self.at = now

    def next(self) -> tuple[float, Request | None]:
        if not self.left:
            return math.inf, None
        q = min(self.left, key=lambda q: (self.left[q], q.id))
        return self.at + max(self.left[q], 0.0) / self.rate(), q


class Simulation:
    def __init__(self, fleet: Fleet, requests: Requests) -> None:
        chains, law = requests.chains, fleet.pools[0].law
        cells = [] if chains is None else list(zip(chains.begin.tolist(), chains.end.tolist(), strict=True))
        self.fleet, self.asked = fleet, requests
        self.replicas = [Replica(p, cells) for p in fleet.pools for _ in range(p.replicas)]
        self.requests = [
            Request(i, int(n), int(m), law.request_s + law.prompt_token_s * int(n), float(t),
                    [] if chains is None else chains.of(i).tolist())
            for i, (n, m, t) in enumerate(
                zip(requests.input_tokens, requests.output_tokens, requests.arrival_s, strict=True))
        ]  # fmt: skip
        self.arrivals: list[tuple[float, Request]] = []
        self.turns = {"prefill": 0, "decode": 0}
        self.unsent = 0
        self.link = None
        if fleet.link is not None:
            giver = next(p.law for p in fleet.pools if p.role == "prefill")
            self.token_bytes = giver.block_bytes / giver.block_tokens
            self.link = Link(fleet.link.bytes_per_s, fleet.link.lane_bytes_per_s, fleet.link.latency_s)

    def run(self) -> None:
        previous = self.asked.previous
        if self.asked.clients is not None:
            for _ in range(min(self.asked.clients, len(self.requests))):
                self.send_next(0.0)
        else:
            for q in self.requests:
                if previous is None or previous[q.id] < 0:
                    self.send(q, q.think)
        while True:
            arrival = self.arrivals[0][0] if self.arrivals else math.inf
            there, who = self.link.next() if self.link else (math.inf, None)
            replica = min(self.replicas, key=lambda r: r.busy_until)
            now = min(arrival, there, replica.busy_until)
            if now == math.inf:
                return
            if arrival == now:
                self.arrive(heapq.heappop(self.arrivals)[1], now)
            elif there == now and who is not None:
                self.there(who, now)
            else:
                self.step(replica, now)

    def send(self, q: Request, at: float) -> None:
        heapq.heappush(self.arrivals, (at + q.before, q))

    def send_next(self, now: float) -> None:
        if self.unsent < len(self.requests):
            q = self.requests[self.unsent]
            self.unsent += 1
            self.send(q, now + q.think)

    def choose(self, role: str) -> Replica:
        able = [r for r in self.replicas if r.role in {role, "both"}]
        if self.fleet.router == "round-robin":
            self.turns[role] += 1
            return able[(self.turns[role] - 1) % len(able)]
        return min(able, key=lambda r: r.outstanding)

    def arrive(self, q: Request, now: float) -> None:
        replica = self.choose("prefill")
        q.phase, q.prompt = "waiting", q.input
        replica.waiting.append(q)
        replica.outstanding += 1
        self.wake(replica, now)

    def wake(self, replica: Replica, now: float) -> None:
        if replica.busy_until == math.inf:
            replica.chunks, replica.decoding = {}, []
            replica.busy_until = now

    def step(self, replica: Replica, now: float) -> None:
        """A step ends, and the next one begins."""
        self.finish_step(replica, now)
        seconds = replica.begin(now)
        replica.busy_until = math.inf if seconds is None else now + seconds
        self.open_door(replica, now)

    def finish_step(self, replica: Replica, now: float) -> None:
        for q in replica.decoding:
            q.length += 1
            q.made += 1
        for q in sorted(replica.decoding):
            if q.made == q.output:
                self.end(replica, q, now)
        for q, tokens in replica.chunks.items():
            q.computed += tokens
            replica.publish(q, q.computed)
            if q.computed == q.prompt:
                self.prompt_done(replica, q, now)
        replica.chunks, replica.decoding = {}, []
        if replica.static and replica.running and len(replica.ended) == len(replica.running):
            for q in replica.running:
                self.leave(replica, q)
            replica.running, replica.ended = [], []

    def prompt_done(self, replica: Replica, q: Request, now: float) -> None:
        q.made += 1
        q.phase, q.length = "decode", q.prompt
        moves = replica.role == "prefill" and q.made < q.output
        if math.isnan(q.first) and not (moves and self.fleet.link and self.fleet.link.first_token == "decode"):
            q.first = now
        if q.made == q.output:
            self.end(replica, q, now)
        elif moves:
            replica.running.remove(q)
            replica.moving.append(q)
            replica.outstanding -= 1
            q.phase, q.giver, q.taker, q.computed_at = "moving", replica, self.choose("decode"), now
            q.taker.outstanding += 1
            q.taker.door.append(q)
            self.open_door(q.taker, now)

    def end(self, replica: Replica, q: Request, now: float) -> None:
        q.finish = now
        replica.outstanding -= 1
        if replica.static:
            replica.ended.append(q)
        else:
            self.leave(replica, q)
            replica.running.remove(q)
        if self.asked.clients is not None:
            self.send_next(now)
        elif self.asked.previous is not None:
            for following in self.requests:
                if self.asked.previous[following.id] == q.id:
                    self.send(following, now + following.think)

    def leave(self, replica: Replica, q: Request) -> None:
        replica.publish(q, q.input + q.output - 1)
        replica.release(q)

    # Between pools

    def open_door(self, taker: Replica, now: float) -> None:
        while taker.door and len(taker.running) + len(taker.promised) + len(taker.joining) < taker.slots:
            q = taker.door[0]
            need = taker.count(q.input + q.output if taker.reserve else q.prompt + 1)
            if need > taker.free() or self.link is None:
                return
            taker.door.pop(0)
            taker.promised[q] = need
            taker.give_up()
            self.link.pass_to(now)
            size = q.prompt * self.token_bytes
            early, layers = 0.0, self.fleet.link.layers if self.fleet.link else 0
            if layers and q.computed_at == now:  # there was room for all layers but the last while they were computed
                early = (layers - 1) / layers * min(size, self.link.lane * (now - q.admitted))
            self.link.left[q] = size - early

    def there(self, q: Request, now: float) -> None:
        giver, taker = q.giver, q.taker
        assert giver is not None and taker is not None and self.link is not None
        self.link.pass_to(now)
        del self.link.left[q]
        q.moved = now
        if math.isnan(q.first):
            q.first = now
        giver.moving.remove(q)
        giver.publish(q, q.prompt)
        giver.release(q)
        q.own = taker.promised.pop(q)
        taker.joining.append(q)
        self.wake(giver, now)
        self.wake(taker, now)


def simulate(fleet: Fleet, requests: Requests) -> Simulation:
    """All requests, served."""
    simulation = Simulation(fleet, requests)
    simulation.run()
    return simulation
