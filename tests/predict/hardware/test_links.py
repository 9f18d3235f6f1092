"""Links and limits as the predictor sees them, where a document corrected or filled what the catalogue held."""

import pytest

from inferatlas.catalogue import load_accelerator
from inferatlas.predict.hardware.device import device
from inferatlas.predict.performance.collectives import group_cost
from inferatlas.predict.performance.priors import network
from inferatlas.predict.platforms import supported_engines


def test_maia_has_nine_ports_in_the_node_and_three_out_of_it():
    maia = device(load_accelerator("microsoft-maia-100"))
    assert (maia.topology, maia.domain, maia.node) == ("full_mesh", 4, 4)
    assert (maia.link_bytes_per_s, maia.scale_out_bytes_per_s) == (450e9, 150e9)


def test_two_maia_chips_share_only_the_links_between_them():
    net, _ = network(device(load_accelerator("microsoft-maia-100")))
    pair, node = (group_cost(net, "all_reduce", n) for n in (2, 4))
    # per byte of tensor: 2(n-1)/n over 3 of 9 links, and over all 9
    assert pair[1] / node[1] == pytest.approx((1.0 / (1 / 3)) / 1.5)


def test_a_group_beyond_maias_node_is_possible_and_slower():
    net, _ = network(device(load_accelerator("microsoft-maia-100")))
    assert group_cost(net, "all_reduce", 8)[0] > group_cost(net, "all_reduce", 4)[0]
    assert group_cost(net, "all_reduce", 8)[1] > group_cost(net, "all_reduce", 4)[1]


def test_trainium_2_exchanges_at_the_rate_inside_an_instance():
    trainium = device(load_accelerator("aws-trainium-2"))
    assert (trainium.link_bytes_per_s, trainium.node, trainium.domain) == (512e9, 16, 64)


@pytest.mark.parametrize("name", ["cerebras-wse-2", "cerebras-wse-3"])
def test_wafers_are_joined_by_their_ethernet_ports_and_nothing_is_assumed(name: str):
    wafer = device(load_accelerator(name))
    net, notes = network(wafer)
    assert net.bytes_per_s == net.scale_out == 150e9  # the same ports: never added
    assert notes == []


@pytest.mark.parametrize(
    ("name", "bytes_per_s"),
    [("google-tpu-v4", 6.25e9), ("google-tpu-v6e", 12.5e9), ("google-tpu-v7", 12.5e9), ("google-tpu-v5e", 3.125e9),
     ("amd-mi355x", 50e9), ("intel-gaudi-2", 37.5e9)],
)  # fmt: skip
def test_scale_out_is_the_share_of_one_accelerator(name: str, bytes_per_s: float):
    assert device(load_accelerator(name)).scale_out_bytes_per_s == bytes_per_s


@pytest.mark.parametrize("name", ["nvidia-l40s", "amd-mi325x", "nvidia-gh200"])
def test_a_scale_out_in_words_is_not_turned_into_a_rate(name: str):
    accelerator = load_accelerator(name)
    assert accelerator.facts.text("interconnect.scale_out")
    assert device(accelerator).scale_out_bytes_per_s is None


def test_entries_of_a_compile_cache_do_not_limit_the_batch():
    inferentia = load_accelerator("aws-inferentia-2")
    assert len(inferentia.facts.all("execution.max_batch")) == 2
    assert device(inferentia).max_batch is None


def test_the_idle_power_of_a_chip_does_not_stand_for_the_board():
    board = device(load_accelerator("tenstorrent-wormhole-n150")).power
    assert (board.scope, board.rated_w, board.idle_w) == ("board", 160, None)


def test_engines_that_documents_confirm_or_rule_out():
    assert supported_engines(load_accelerator("intel-gaudi-3"))["sglang"] == "experimental"
    assert supported_engines(load_accelerator("tenstorrent-wormhole-n300"))["sglang"] == "experimental"
    assert "deepspeed" not in supported_engines(load_accelerator("google-tpu-v5e"))
