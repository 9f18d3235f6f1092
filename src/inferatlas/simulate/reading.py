"""The schema of ``deployment.yaml``: every key, how its value is read, and what must agree with what."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml

from inferatlas.errors import BadInput
from inferatlas.simulate.deployment import AdaptersAsked, Deployment, Failures, LinkAsked, PoolAsked
from inferatlas.simulate.fleet import ROLES, ROUTERS, Fault, Scaling, Signal, Tier
from inferatlas.simulate.profiles import Profile, read_profile, refuse_unknown_settings, settings_of
from inferatlas.simulate.traffic import Reader, Traffic, read_traffic
from inferatlas.simulate.values import amount, choice, count, name_or_file, placed, quantity
from inferatlas.workload.targets import parse_targets
from inferatlas.workload.yaml_fields import (
    Fields,
    boolean,
    items,
    line_at,
    mapping,
    read_mapping,
    refuse_unknown,
    require,
    text,
)

TOP = (
    "model", "models", "pools", "router", "link", "faults", "stale", "load_penalty", "retry", "queue_limit",
    "network", "workload", "slo",
)  # fmt: skip


def unit(si: str, *, positive: bool = False) -> Reader:
    """A reader of quantities in this unit."""
    return lambda key, node, path: quantity(key, node, path, si, positive=positive)


def whole(least: int) -> Reader:
    """A reader of whole numbers of at least so many."""
    return lambda key, node, path: count(key, node, path, least=least)


def above(key: str, node: yaml.Node, path: Path) -> float:
    """A plain number above 0."""
    return amount(key, node, path, positive=True)


def one_of(known: tuple[str, ...]) -> Reader:
    """A reader of one of these words."""
    return lambda key, node, path: choice(key, node, path, known)


# key: (field, how it is read)
Table = dict[str, tuple[str, Reader]]
SECONDS, BYTES, RATE = unit("s"), unit("B", positive=True), unit("B/s", positive=True)
TIER: Table = {
    "bytes": ("bytes", BYTES), "rate": ("bytes_per_s", RATE), "latency": ("latency_s", SECONDS), "name": ("name", text),
}  # fmt: skip
ADAPTERS: Table = {
    "slots": ("slots", count), "rank": ("rank", count), "count": ("count", count), "load": ("load_s", SECONDS),
    "step": ("step_s", SECONDS),
}  # fmt: skip
SCALING: Table = {
    "least": ("least", count), "most": ("most", count), "signal": ("signal", one_of(get_args(Signal))),
    "up_above": ("up_above", above), "down_below": ("down_below", amount),
    "every": ("every_s", unit("s", positive=True)), "startup": ("startup_s", SECONDS),
    "cooldown": ("cooldown_s", SECONDS),
}  # fmt: skip
LINK: Table = {
    "rate": ("bytes_per_s", RATE), "lane": ("lane_bytes_per_s", RATE), "latency": ("latency_s", SECONDS),
    "first_token": ("first_token", one_of(("prefill", "decode"))), "overlap": ("overlap", boolean),
}  # fmt: skip
FAULT: Table = {"at": ("at_s", SECONDS), "replica": ("replica", whole(0)), "for": ("for_s", SECONDS)}
FAILURES: Table = {"mtbf": ("mtbf_s", unit("s", positive=True)), "mttr": ("mttr_s", unit("s", positive=True))}


def _price(key: str, node: yaml.Node, path: Path) -> float:
    bare = isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float"))
    return amount(key, node, path) if bare else quantity(key, node, path, "USD/h")


def _record(table: Table, made: type, required: tuple[str, ...]) -> Reader:
    def read(key: str, node: yaml.Node, path: Path) -> Any:
        return made(**_table(table, key, node, path, required))

    return read


def _scheduler(key: str, node: yaml.Node, path: Path) -> Profile:
    """A name or a file, or a mapping with settings that are changed."""
    if isinstance(node, yaml.ScalarNode):
        with placed(path, {}, line_at(node)):
            return read_profile(name_or_file(key, node, path))
    given = mapping(key, node, path)
    refuse_unknown_settings(given, path, f"{key}.", more=("profile",))
    base = given.pop(f"{key}.profile", None)
    settings = settings_of(given, path, f"{key}.")
    if base is None:  # that of the engine, which is not known yet
        return Profile("", settings)
    with placed(path, {}, base[1]):
        return read_profile(name_or_file(f"{key}.profile", base[0], path)).changed(settings)


def _names(key: str, node: yaml.Node, path: Path) -> tuple[str, ...]:
    found = tuple(name_or_file(key, one, path) for one in items(node))
    if not found or len(set(found)) != len(found):
        raise BadInput("a name is missing or given twice", field=key, allowed="one or more, each once", file=path,
                       line=line_at(node))  # fmt: skip
    return found


POOL: Table = {
    "name": ("name", text), "accelerator": ("accelerator", name_or_file), "replicas": ("replicas", count),
    "count": ("count", count), "role": ("role", one_of(ROLES)), "models": ("models", _names), "tp": ("tp", count),
    "pp": ("pp", count), "ep": ("ep", count), "cp": ("cp", count), "engine": ("engine", name_or_file),
    "weights": ("weights", text), "activations": ("activations", text), "kv_cache": ("kv_cache", text),
    "speculate": ("speculate", text), "scheduler": ("scheduler", _scheduler),
    "tier": ("tier", _record(TIER, Tier, ("bytes", "rate"))),
    "adapters": ("adapters", _record(ADAPTERS, AdaptersAsked, ("slots",))),
    "scaling": ("scaling", _record(SCALING, Scaling, ("least", "most"))), "patience": ("patience_s", SECONDS),
    "model_load": ("model_load_s", SECONDS), "price": ("usd_per_hour", _price),
}  # fmt: skip


def deployment_of(path: Path) -> Deployment:
    """See `deployment.read_deployment`."""
    fields = read_mapping(path, "deployment")
    refuse_unknown(fields, TOP, path)
    require(fields, ("pools",), path)
    if ("model" in fields) == ("models" in fields):
        line = fields["models"][1] if "models" in fields else None
        raise BadInput("one of model and models is needed", field="model", allowed="either of them", file=path,
                       line=line)  # fmt: skip
    key = "model" if "model" in fields else "models"
    models = _names(key, fields[key][0], path)
    if key == "model" and len(models) > 1:
        raise BadInput("is a list", field=key, allowed="one name; several under models", file=path, line=fields[key][1])
    pools = _pools(fields["pools"][0], path, models)
    simple: Table = {
        "router": ("router", one_of(ROUTERS)), "link": ("link", _record(LINK, LinkAsked, ())),
        "stale": ("stale_s", SECONDS), "load_penalty": ("load_penalty", amount), "retry": ("retry", boolean),
        "queue_limit": ("queue_limit", count), "network": ("network_s", SECONDS),
        "workload": ("traffic", read_traffic), "slo": ("slo", _slo), "faults": ("faults", _faults),
    }  # fmt: skip
    found = {name: read(key, fields[key][0], path) for key, (name, read) in simple.items() if key in fields}
    _check_faults(found.get("faults", ()), pools, fields, path)
    if "link" in fields and all(pool.role == "both" for pool in pools):
        raise BadInput("no pool computes prompts for another", field="link", allowed="with roles prefill and decode",
                       file=path, line=fields["link"][1])  # fmt: skip
    _check_shares(found.get("traffic"), models)
    lines = {key: line for key, (_, line) in fields.items()} | dict.fromkeys(models, fields[key][1])
    return Deployment(models, pools, file=str(path), lines=lines, **found)


def _table(table: Table, key: str, node: yaml.Node, path: Path, required: tuple[str, ...]) -> dict[str, Any]:
    given = mapping(key, node, path)
    refuse_unknown(given, tuple(f"{key}.{name}" for name in table), path)
    require(given, tuple(f"{key}.{name}" for name in required), path, line_at(node))
    bare = {full.removeprefix(f"{key}."): entry for full, entry in given.items()}
    return {table[name][0]: table[name][1](f"{key}.{name}", value, path) for name, (value, _) in bare.items()}


def _pools(node: yaml.Node, path: Path, models: tuple[str, ...]) -> tuple[PoolAsked, ...]:
    if not isinstance(node, yaml.SequenceNode) or not node.value:
        raise BadInput("are no list", field="pools", allowed="one or more pools, '- accelerator: ...'", file=path,
                       line=line_at(node))  # fmt: skip
    pools: list[PoolAsked] = []
    for i, one in enumerate(node.value, 1):
        where = f"pools[{i}]"
        found = _table(POOL, where, one, path, ("accelerator",))
        lines = {full.removeprefix(f"{where}."): line for full, (_, line) in mapping(where, one, path).items()}
        pool = PoolAsked(**found, lines=lines, line=line_at(one))
        _check_pool(pool, where, models, {other.name for other in pools if other.name}, path)
        pools.append(pool)
    _check_roles(pools, models, path)
    return tuple(pools)


def _check_pool(pool: PoolAsked, where: str, models: tuple[str, ...], names: set[str], path: Path) -> None:
    def wrong(key: str, message: str, allowed: str) -> BadInput:
        return BadInput(message, field=f"{where}.{key}", allowed=allowed, file=path,
                        line=pool.lines.get(key, pool.line))  # fmt: skip

    if pool.name in names:
        raise wrong("name", f"a second pool {pool.name}", "different names")
    for model in pool.models or ():
        if model not in models:
            raise wrong("models", f"{model} is none of the deployment", ", ".join(models))
    if pool.replicas and pool.count:
        raise wrong("count", "replicas and count say the same", "one of the two")
    s = pool.scaling
    if s is None:
        return
    if s.most < s.least:
        raise wrong("scaling", f"{s.least} to {s.most} replicas", "most no less than least")
    if not s.least <= (pool.replicas or s.least) <= s.most:
        raise wrong("replicas", f"{pool.replicas} replicas at first", f"{s.least} to {s.most}, as scaling says")
    if pool.count:
        raise wrong("count", "scaling changes how many there are", "replicas")
    if s.up_above <= s.down_below:
        raise wrong("scaling", f"grows above {s.up_above:g} and shrinks below {s.down_below:g}",
                    "up_above larger than down_below")  # fmt: skip


def _check_roles(pools: list[PoolAsked], models: tuple[str, ...], path: Path) -> None:
    """Every model has a pool for its prompts and one for its answers."""
    for model in models:
        roles = {pool.role for pool in pools if pool.models is None or model in pool.models}
        if not roles:
            raise BadInput(f"no pool hosts {model}", field="pools", allowed="models of a pool, or leave them out",
                           file=path, line=pools[0].line)  # fmt: skip
        if ("prefill" in roles) != ("decode" in roles):
            half = "prefill" if "prefill" in roles else "decode"
            pool = next(pool for pool in pools if pool.role == half)
            other = "decode" if half == "prefill" else "prefill"
            raise BadInput(f"a pool for {half} of {model} and none for {other}", field="role",
                           allowed="prefill and decode, or both", file=path, line=pool.lines["role"])  # fmt: skip


def _slo(key: str, node: yaml.Node, path: Path) -> tuple[str, ...]:
    said = tuple(text(key, one, path) for one in items(node))
    for i, one in enumerate(items(node), 1):
        with placed(path, {}, line_at(one)):
            parse_targets(said[:i])
    return said


def _faults(key: str, node: yaml.Node, path: Path) -> tuple[Fault, ...] | Failures:
    if isinstance(node, yaml.MappingNode) and any(pair[0].value in FAILURES for pair in node.value):
        return Failures(**_table(FAILURES, key, node, path, tuple(FAILURES)))
    return tuple(Fault(**_table(FAULT, f"{key}[{i}]", one, path, tuple(FAULT))) for i, one in enumerate(items(node), 1))


def _check_faults(
    faults: tuple[Fault, ...] | Failures, pools: tuple[PoolAsked, ...], fields: Fields, path: Path
) -> None:
    if isinstance(faults, Failures) or not faults or any(pool.count for pool in pools):
        return  # how many replicas a count makes is known once its layout is
    most = sum(pool.scaling.most if pool.scaling else pool.replicas or 1 for pool in pools)
    for fault, node in zip(faults, items(fields["faults"][0]), strict=True):
        if fault.replica >= most:
            raise BadInput(f"replica {fault.replica}", field="faults.replica", allowed=f"0 to {most - 1}, of all pools",
                           file=path, line=line_at(node))  # fmt: skip


def _check_shares(traffic: Traffic | None, models: tuple[str, ...]) -> None:
    if traffic is None or traffic.shares is None:
        return
    total = sum(traffic.shares)
    if len(traffic.shares) != len(models) or abs(total - 1) > 1e-9:
        raise BadInput(f"{len(traffic.shares)} shares that add up to {total:g} for {len(models)} models",
                       field="workload.shares", allowed="one for each model, together 1", file=traffic.file,
                       line=traffic.lines["shares"])  # fmt: skip
