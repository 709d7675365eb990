from archpress.architecture import Layer, chain, named
from archpress.report.layer_table import compare_layers, layer_text, outline


def test_every_layer_of_both_nets_is_in_the_table_once_and_in_order(make):
    rows = compare_layers(make.source, make.compressed)
    left = [row.source.number for row in rows if row.source]
    right = [row.compressed.number for row in rows if row.compressed]
    assert left == list(range(1, len(make.source.layers) + 1))
    assert right == list(range(1, len(make.compressed.layers) + 1))


def test_the_costs_of_the_rows_add_up_to_those_of_the_nets(make):
    rows = compare_layers(make.source, make.compressed)
    assert sum(row.source.parameters for row in rows if row.source) == make.source.parameters
    assert sum(row.compressed.macs for row in rows if row.compressed) == make.compressed.macs


def test_layers_side_by_side_are_of_one_kind_where_both_nets_have_them(make):
    for row in compare_layers(make.source, make.compressed):
        if row.change in {"same", "changed"}:
            kinds = [
                net.layers[cell.number - 1].kind
                for net, cell in ((make.source, row.source), (make.compressed, row.compressed))
            ]
            assert kinds[0] == kinds[1]


def test_a_block_that_is_gone_is_shown_as_removed(make):
    # conv7 has 7 blocks of 3 layers, the result 6, so 3 layers are gone
    rows = compare_layers(make.source, make.compressed)
    assert [row.change for row in rows].count("removed") == 3
    assert not [row for row in rows if row.change == "added"]


def test_long_nets_are_aligned_as_well_as_short_ones():
    blocks = [Layer("conv", 3, 4, 1, 1), Layer("relu")] * 120
    one, two = chain((1, 8, 8), Layer("tanh"), *blocks), chain((1, 8, 8), *blocks)
    changes = [row.change for row in compare_layers(one, two)]
    assert changes == ["removed"] + ["same"] * 240


def test_a_block_is_aligned_with_its_like_and_not_with_the_first_of_its_kind():
    def net(*widths):
        pool = Layer("max_pool", 2, stride=2)
        layers = [Layer("conv", 3, width, 1, 1) if width else pool for width in widths]
        return chain((1, 8, 8), *layers, Layer("linear", channels=2))

    rows = compare_layers(net(16, 32, 0, 64, 64), net(16, 0, 64))
    assert [row.change for row in rows] == ["same", "removed", "same", "same", "removed", "same"]


def test_a_net_beside_itself_is_the_same_everywhere():
    net = named("resnet20")
    assert {row.change for row in compare_layers(net, net)} == {"same"}


def test_a_join_says_what_it_reads():
    net = named("resnet20")
    index = next(i for i, layer in enumerate(net.layers) if layer.kind == "add")
    first, second = (source + 1 for source in net.input_indices(index))
    assert layer_text(net, index) == f"add, reads {first} and {second}"


def test_a_dropout_shows_its_rate_and_a_conv_that_it_has_no_bias():
    net = chain((1, 8, 8), Layer("conv", 3, 4, 1, bias_free=True), Layer("dropout", rate=0.25))
    assert layer_text(net, 0) == "conv 3×3, no bias → 4"
    assert layer_text(net, 1) == "dropout, rate 0.25"


def test_the_outline_counts_repeated_layers_and_leaves_out_norms_and_activations():
    assert outline(named("tiny")) == (
        "conv 3×3 8 · max pool 2×2 · conv 3×3 16 · max pool 2×2 · conv 3×3 32 · "
        "global average pool · linear 10"
    )
