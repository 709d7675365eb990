from dataclasses import replace
from random import Random

import pytest

from archpress.architecture import Architecture, Layer, chain, named
from archpress.architecture.difference import Change, difference
from archpress.reading.tracing import trace


def block(channels, **options):
    return [Layer("conv", 3, channels, 1, 1, **options), Layer("batch_norm"), Layer("relu")]


def net(*blocks):
    layers = [layer for one in blocks for layer in one]
    return chain((1, 8, 8), *layers, Layer("linear", channels=10))


def changes(found):
    return [(row.change.value, row.kind) for row in found.rows if row.change is not Change.SAME]


def test_a_changed_width_is_one_row_and_what_follows_it_is_resized():
    found = difference(net(block(8), block(16)), net(block(8), block(12)))
    assert changes(found) == [
        ("changed", "conv"),
        ("resized", "batch_norm"),
        ("resized", "relu"),
        ("resized", "linear"),
    ]
    row = found.rows[3]
    assert row.fields == (("channels", 16, 12),)
    # 8 * 9 weights a channel and a bias; 64 pixels
    assert (row.before.parameters, row.after.parameters) == (16 * 73, 12 * 73)
    assert (row.before.macs, row.after.macs) == (16 * 72 * 64, 12 * 72 * 64)
    assert (row.before.name, row.after.shape) == ("conv2", (12, 8, 8))


def test_a_block_that_is_left_out_is_removed_and_the_others_keep_their_counterparts():
    found = difference(net(block(8), block(16), block(16)), net(block(8), block(16)))
    assert {row.change for row in found.rows} == {Change.SAME, Change.REMOVED}
    removed = [row.kind for row in found.rows if row.change is Change.REMOVED]
    assert sorted(removed) == ["batch_norm", "conv", "relu"]


def test_a_layer_of_another_kind_is_removed_and_added():
    before, after = net(block(8)), net(block(8))
    after = replace(after, layers=(*after.layers[:2], Layer("silu"), after.layers[3]))
    assert changes(difference(before, after)) == [("removed", "relu"), ("added", "silu")]


def test_options_and_what_a_layer_reads_are_changes():
    options = (("groups", 2),)
    found = difference(net(block(8), block(8)), net(block(8), block(8, options=options)))
    assert [row.fields for row in found.rows if row.fields] == [(("groups", 1, 2),)]
    layers = [*block(8), *block(8), Layer("add", inputs=(1, 4)), Layer("linear", channels=10)]
    before = Architecture((1, 8, 8), tuple(layers))
    layers[6] = Layer("add", inputs=(1, 6))
    found = difference(before, Architecture((1, 8, 8), tuple(layers)))
    assert [row.fields for row in found.rows if row.fields] == [
        (("reads", "relu2, relu1", "relu2, conv1"),)
    ]


def test_totals_are_of_the_nets_and_percent_is_of_the_first():
    before, after = named("conv7"), named("plain6")
    totals = {total.name: total for total in difference(before, after).totals}
    assert (totals["parameters"].before, totals["macs"].after) == (before.parameters, after.macs)
    assert totals["parameters"].percent == pytest.approx(100 * (72_890 / 708_458 - 1))
    still = Architecture((1, 2, 2), (Layer("relu"),))
    assert difference(still, still).totals[0].percent is None


def test_every_layer_of_both_nets_stands_in_one_row_in_order(random_net):
    for seed in range(60):
        before, after = random_net(Random(seed)), random_net(Random(seed + 1000))
        found = difference(before, after)
        for side, whole in ((0, before), (1, after)):
            indices = [pair[side] for pair in found.pairs if pair[side] is not None]
            assert indices == list(range(len(whole.layers)))
        matched = [(i, j) for i, j in found.pairs if i is not None and j is not None]
        assert all(before.layers[i].kind == after.layers[j].kind for i, j in matched)
        sides = [row.before for row in found.rows if row.before]
        assert sum(side.parameters for side in sides) == before.parameters
        back = difference(after, before)
        assert back.count(Change.ADDED) == found.count(Change.REMOVED)


def test_a_net_does_not_differ_from_itself(random_net):
    for seed in range(60):
        same = random_net(Random(seed), idle=0.3)
        found = difference(same, same)
        assert found.count(Change.SAME) == len(found.rows) == len(same.layers)


def test_a_deeper_residual_net_has_whole_blocks_more():
    found = difference(named("resnet20"), named("resnet56"))
    assert found.count(Change.CHANGED) == found.count(Change.REMOVED) == 0
    assert found.count(Change.SAME) == len(named("resnet20").layers)


def test_a_traced_module_is_compared_like_any_net():
    from torch import nn

    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 10))
    traced = trace(module, (1, 8, 8)).architecture
    assert changes(difference(traced, net([Layer("conv", 3, 4, 1, 1)]))) == []
