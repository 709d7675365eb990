from archpress.report.content import gather
from archpress.report.record import ResultRecord


def content_of(make, trials=None, **changes):
    result = ResultRecord.model_validate(make.result() | changes)
    trials = make.some_trials() if trials is None else trials
    return gather(result, make.source, make.compressed, trials)


def test_costs_are_compared_with_the_source(make):
    content = content_of(make)
    cells = dict(content.nets.rows)["parameters"]
    assert cells[0].note == ""
    # 708,458 / 61,042 = 11.6
    assert (cells[1].value, cells[1].note) == ("61,042", "11.6 × less")


def test_a_net_that_costs_more_than_the_source_is_said_to(make):
    reference = make.result()["reference"] | {"macs": 2 * make.source.macs}
    cells = dict(content_of(make, reference=reference).nets.rows)["multiply-adds an image"]
    assert cells[2].note == "2 × more"


def test_the_columns_are_the_nets_that_there_are(make):
    roles = [role for role, _ in content_of(make).nets.heads]
    assert roles == ["source", "compressed", "plain net"]
    bare = content_of(make, reference=None, compressed=None)
    assert [role for role, _ in bare.nets.heads] == ["source"]


def test_source_and_result_are_marked_at_their_own_trials(make):
    marked = content_of(make).marked
    assert marked["source"].accuracy == 0.874
    assert marked["result"].accuracy == 0.871


def test_the_same_run_always_gives_the_same_content(make):
    assert content_of(make) == content_of(make)


def test_recipes_stand_side_by_side_with_a_dash_for_what_one_does_not_say(make):
    rows = dict(content_of(make).recipe_rows)
    assert rows["epochs"] == ("3", "20")
    assert rows["flip"] == ("–", "yes")


def test_each_value_of_the_surrogate_has_its_n_or_unit(make):
    rows = dict(content_of(make).surrogate)
    assert rows["the same with the multiply-adds as the guess"] == (
        "0.50 (n = 60 trained architectures)"
    )
    assert rows["mean error of restored channels"] == "0.10 octaves (a factor of 1.07)"


def test_what_was_guessed_stands_beside_what_was_measured(make):
    content = content_of(make)
    assert content.rounds == (("1", "6", "86.10 %", "85.20 %", "1.25 points"),)
    assert content.path == (("10", "48", "0.21", "0.60"),)
    rows = dict(content.surrogate)
    assert rows["held-out accuracies inside the interval for 90 %"] == "92.0 %"


def test_a_rank_correlation_that_is_no_number_counts_as_not_measured(make):
    surrogate = make.result()["surrogate"] | {"kendall": float("nan")}
    assert content_of(make, surrogate=surrogate).surrogate[0][1] == "not measured"
