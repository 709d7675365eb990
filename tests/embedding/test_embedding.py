import math

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from archpress.architecture import Layer, chain, named
from archpress.embedding import (
    Embedding,
    FitSettings,
    Labelled,
    ModelSize,
    Surrogate,
    fit_unlabelled,
    gaussian_process,
    held_out_ranking,
    reconstruction,
    refit,
)
from archpress.embedding.gaussian_process import Block, Features, GaussianProcess
from archpress.embedding.tokens import Alphabet
from archpress.embedding.warp import Warp
from archpress.errors import EmbeddingError
from archpress.space import (
    Limits,
    PaperSampler,
    distinct,
    sample_neighbourhood,
    space_around,
)

SMALL = ModelSize(dimensions=32, width=16, accuracy_heads=3)


@pytest.fixture(scope="module")
def space():
    return space_around(named("tiny"))


@pytest.fixture(scope="module")
def pool(space):
    rng = np.random.default_rng(0)
    near = distinct(sample_neighbourhood(named("tiny"), space, rng), 100)
    return near + distinct(PaperSampler(space, rng), 10)


@pytest.fixture(scope="module")
def fitted(space, pool):
    embedding = Embedding(space, SMALL)
    losses = fit_unlabelled(
        embedding,
        pool,
        FitSettings(steps=300, batch=32, learning_rate=5e-3),
        np.random.default_rng(0),
    )
    return embedding, losses


@pytest.mark.parametrize("name", ["tiny", "conv7", "resnet20", "separable"])
def test_decoding_the_tokens_of_a_net_gives_the_net(name):
    net = named(name)
    alphabet = Alphabet.of(space_around(net))
    tokens = alphabet.encode([net])
    (layers,) = alphabet.decode(tokens.categories, tokens.numbers[..., 0])
    assert tuple(layers) == net.layers


def test_tokens_of_random_neighbours_and_samples_round_trip(space, pool):
    alphabet = Alphabet.of(space)
    tokens = alphabet.encode(pool)
    decoded = alphabet.decode(tokens.categories, tokens.numbers[..., 0])
    for layers, net in zip(decoded, pool, strict=True):
        without_rate = [Layer(**{**fields(layer), "rate": 0.0}) for layer in net.layers]
        assert layers == without_rate  # a token has no dropout rate; the space has one for all


def fields(layer):
    return {name: getattr(layer, name) for name in Layer.__slots__}


def test_a_value_outside_the_alphabet_is_named_with_its_layer(space):
    odd = chain((1, 28, 28), Layer("conv", 7, 4, 1), Layer("linear", channels=10))
    with pytest.raises(EmbeddingError, match=r"layer 0 \(conv\): 7 is not in the search space"):
        Alphabet.of(space).encode([odd])
    assert not Alphabet.of(space).holds(odd)


def test_a_net_longer_than_the_slots_is_refused(space):
    long = chain((1, 28, 28), *[Layer("relu")] * 60, Layer("linear", channels=10))
    with pytest.raises(EmbeddingError, match="61 layers do not fit into 40 slots"):
        Alphabet.of(space).encode([long])


def test_embeddings_have_mean_0_and_variance_1(fitted, pool):
    embeddings = fitted[0].encode(pool[:7])
    assert embeddings.shape == (7, 32)
    torch.testing.assert_close(embeddings.mean(1), torch.zeros(7), atol=1e-5, rtol=0)
    torch.testing.assert_close(embeddings.var(1, unbiased=False), torch.ones(7), atol=1e-3, rtol=0)


def test_the_embedding_of_a_net_does_not_depend_on_its_company(fitted, pool):
    alone = fitted[0].encode(pool[3:4])
    torch.testing.assert_close(fitted[0].encode(pool[:9])[3:4], alone)


def test_any_finite_embedding_decodes_to_a_net_of_the_space(fitted, space):
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(30, 32, generator=generator) * torch.logspace(-2, 3, 30)[:, None]
    assert all(space.contains(one.architecture) for one in fitted[0].decode(embeddings))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_row_that_is_not_finite_is_named(fitted, value):
    embeddings = torch.zeros(4, 32)
    embeddings[2, 5] = value
    with pytest.raises(EmbeddingError, match="row 2"):
        fitted[0].decode(embeddings)


def test_embeddings_of_another_width_are_refused(fitted):
    with pytest.raises(EmbeddingError, match="B x 32"):
        fitted[0].decode(torch.zeros(2, 31))


def test_the_fit_learns_and_every_weight_of_its_parts_gets_a_gradient(fitted, pool):
    embedding, losses = fitted
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:5])
    tokens = embedding.tokens(pool[:8])
    embeddings = embedding.model.encoder(tokens)
    decoded = embedding.model.decoder(embeddings)
    outputs = [*decoded.categories, decoded.channels, embedding.model.costs(embeddings)]
    outputs.append(embedding.model.predict_accuracy(embeddings))
    sum(output.square().sum() for output in outputs).backward()
    missing = [name for name, weight in embedding.model.named_parameters() if weight.grad is None]
    embedding.model.zero_grad()
    assert missing == []


def test_predicted_costs_follow_the_exact_ones(fitted, pool):
    predicted = fitted[0].predict_costs(fitted[0].encode(pool)).detach().numpy()
    exact = np.log([net.parameters for net in pool])
    assert kendalltau(predicted[:, 0], exact).statistic > 0.6


def test_the_same_seed_fits_the_same_embedding(space, pool):
    def once():
        embedding = Embedding(space, SMALL, seed=3)
        fit_unlabelled(embedding, pool, FitSettings(steps=3, batch=8), np.random.default_rng(3))
        return embedding.encode(pool[:2])

    assert torch.equal(once(), once())


def test_saving_and_loading_changes_nothing(fitted, pool, space, tmp_path):
    fitted[0].save(tmp_path / "embedding.safetensors")
    loaded = Embedding.load(tmp_path / "embedding.safetensors", space)
    assert torch.equal(loaded.encode(pool[:3]), fitted[0].encode(pool[:3]))
    z = fitted[0].encode(pool[:3])
    assert torch.equal(loaded.predict_costs(z), fitted[0].predict_costs(z))


def test_a_file_for_another_space_or_that_is_cut_off_is_refused(fitted, tmp_path):
    path = tmp_path / "embedding.safetensors"
    fitted[0].save(path)
    with pytest.raises(EmbeddingError, match="another search space"):
        Embedding.load(path, space_around(named("resnet20")))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EmbeddingError, match="cannot read embedding"):
        Embedding.load(path, space_around(named("tiny")))


def accuracy_by_width(nets):
    """A made-up accuracy that grows with log parameters and falls with depth."""
    return [
        1 / (1 + math.exp(-(0.8 * math.log(net.parameters) - 0.1 * len(net.layers) - 4)))
        for net in nets
    ]


def test_a_refit_teaches_the_accuracy_heads(fitted, pool, space, tmp_path):
    fitted[0].save(tmp_path / "e")
    embedding = Embedding.load(tmp_path / "e", space)
    trials = Labelled(pool, accuracy_by_width(pool))
    settings = FitSettings(refit_steps=100, refit_batch=32)
    refit(embedding, trials, pool, settings, np.random.default_rng(0))
    logits = embedding.predict_accuracy_logits(embedding.encode(pool)).mean(0).detach().numpy()
    assert kendalltau(logits, trials.accuracies).statistic > 0.6


def test_the_surrogate_ranks_held_out_nets_better_than_their_size(fitted, pool):
    trials = Labelled(pool, accuracy_by_width(pool))
    ranking = held_out_ranking(fitted[0], trials, seed=0)
    assert ranking.n == len(pool)
    assert ranking.surrogate > max(ranking.parameters, ranking.macs, 0.8)


def test_held_out_accuracies_lie_inside_their_intervals_about_as_often_as_they_should(fitted, pool):
    noise = np.random.default_rng(0).normal(0, 0.02, len(pool))
    trials = Labelled(pool, list(np.array(accuracy_by_width(pool)) + noise))
    ranking = held_out_ranking(fitted[0], trials, seed=0)
    assert 0.35 < ranking.within_half < 0.75
    assert 0.8 < ranking.within_most <= 1.0


def test_guesses_are_less_certain_away_from_the_trials(fitted, pool):
    near = [net for net in pool if 800 < net.parameters < 3000]
    surrogate = Surrogate(fitted[0], Labelled(near, accuracy_by_width(near)))
    seen, far = surrogate.predict(near), surrogate.predict([named("conv7", classes=10)] * 1)
    assert far.std.min() > np.median(seen.std)
    assert ((seen.accuracy > 0) & (seen.accuracy < 1)).all()


def test_the_interval_of_a_guess_holds_nine_of_ten_draws():
    from archpress.embedding import Guess

    draws = np.random.default_rng(0).normal([0.5, -1.0], [0.3, 2.0], (200_000, 2))
    low, high = Guess(np.array([0.5, -1.0]), np.array([0.3, 2.0])).interval
    accuracies = 1 / (1 + np.exp(-draws))
    within = ((accuracies >= low) & (accuracies <= high)).mean(0)
    np.testing.assert_allclose(within, 0.9, atol=0.005)


def test_expected_gain_is_the_mean_of_positive_parts():
    from archpress.embedding import Guess

    guess = Guess(np.array([0.0, 1.0]), np.array([1.0, 0.5]))
    draws = np.random.default_rng(0).normal(guess.mean, guess.std, size=(400_000, 2))
    expected = np.maximum(draws - 0.7, 0).mean(0)
    np.testing.assert_allclose(guess.expected_gain(0.7), expected, atol=0.005)
    np.testing.assert_allclose(guess.probability_above(0.7), (draws > 0.7).mean(0), atol=0.005)


def test_reconstruction_counts_what_it_says(fitted, pool):
    restored = reconstruction(
        fitted[0], pool[:20], {net.key for net in pool}, np.random.default_rng(0)
    )
    assert restored.n == 20
    for share in (restored.exact_share, restored.kind_share, restored.valid_share):
        assert 0 <= share <= 1
    assert restored.kind_share > 0.5  # a majority of layers after 300 steps


@pytest.mark.parametrize("most_fitted", [gaussian_process.MOST_FITTED, 40])
def test_the_process_interpolates_a_smooth_function_and_knows_its_noise(most_fitted, monkeypatch):
    monkeypatch.setattr(gaussian_process, "MOST_FITTED", most_fitted)
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-2, 2, size=(120, 2))
    noise = 0.1
    target = np.sin(inputs[:, 0]) + 0.5 * inputs[:, 1] + noise * rng.normal(size=120)
    features = Features((Block(inputs, "near", own_scales=True), Block(inputs, "linear")))
    process = GaussianProcess(features.rows(np.arange(100)), target[:100])
    mean, std = process.predict(features.rows(np.arange(100, 120)))
    truth = np.sin(inputs[100:, 0]) + 0.5 * inputs[100:, 1]
    assert np.abs(mean - truth).mean() < noise
    _, measured = process.predict(features.rows(np.arange(100, 120)), noise=True)
    assert (0.5 * noise < np.sqrt(measured**2 - std**2)).all()
    assert (np.sqrt(measured**2 - std**2) < 2 * noise).all()
    assert (np.abs(mean - truth) < 3 * std + 0.05).mean() > 0.9


def test_limits_of_the_space_bind_what_is_decoded(fitted, space):
    embedding, _ = fitted
    embedding.space = space.with_limits(Limits(max_parameters=1000))
    try:
        decoded = embedding.decode(torch.randn(10, 32, generator=torch.Generator().manual_seed(0)))
    finally:
        embedding.space = space
    assert all(one.architecture.parameters <= 1000 for one in decoded)


def test_a_warp_gives_normal_scores_and_can_be_undone():
    values = np.array([0.1, 0.2, 0.2, 5.0, -3.0])
    warp = Warp.of(values)
    scores = warp.forward(values)
    assert scores[1] == scores[2]
    assert (np.argsort(scores, kind="stable") == np.argsort(values, kind="stable")).all()
    # five values: the middle one of ranks (1, 2, 3.5, 3.5, 5) - 0.5 over 5; 0.3 -> -0.5244
    assert scores[0] == pytest.approx(-0.5244, abs=1e-4)
    wider = np.array([-10.0, -3.0, 0.15, 4.0, 20.0])
    np.testing.assert_allclose(warp.backward(warp.forward(wider)), wider)
    assert (np.diff(warp.forward(wider)) > 0).all()
