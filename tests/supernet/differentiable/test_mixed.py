"""A mixed network is all networks of its space at once."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mixing import CELLS, STACKED, images, mixed, staged, strengths

from optuna_nas.exceptions import DescriptionError, SpaceError
from optuna_nas.supernet.differentiable import Gumbel, Softmax

NETWORKS = {
    name: mixed(space)
    for name, space in (("cells", CELLS), ("staged", staged), ("stacked", STACKED))
}


@pytest.mark.parametrize("training", [True, False])
@settings(max_examples=25)
@given(data=st.data(), name=st.sampled_from(sorted(NETWORKS)))
def test_with_all_weight_on_one_option_it_is_the_discrete_network(training, data, name) -> None:
    network, _, relaxation = NETWORKS[name]
    kept = relaxation.kept(data.draw(strengths(relaxation)))
    alone = network.extract(kept).double().train(training)
    x = images()
    wanted = alone(x)  # before running statistics change
    with network.keeping(kept):
        torch.testing.assert_close(network.train(training)(x), wanted, rtol=1e-9, atol=1e-9)


def test_parameters_far_apart_are_one_option() -> None:
    network, alphas, _relaxation = mixed(CELLS)
    kept = {number: 2 + number % 3 for number in range(6)}
    with torch.no_grad():
        for number, alpha in enumerate(alphas.operators):
            alpha.fill_(-math.inf)[kept[number]] = 0.0
    x = images()
    wanted = network.extract(kept).double()(x)
    torch.testing.assert_close(network(x), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_weight_and_every_architecture_parameter(name) -> None:
    network, alphas, _ = NETWORKS[name]
    network.train()(images(20)).square().sum().backward()
    learned = {n: p for n, p in network.named_parameters() if p.requires_grad}
    for parameter_name, parameter in {**learned, **dict(alphas.named_parameters())}.items():
        assert parameter.grad is not None and parameter.grad.any(), parameter_name


def test_architecture_parameters_are_none_of_the_networks() -> None:
    network, alphas, _ = mixed(CELLS)
    own = {id(parameter) for parameter in network.parameters()}
    assert not own & {id(alpha) for alpha in alphas.parameters()}


def test_batch_norm_of_operators_cannot_make_up_for_small_weights() -> None:
    network, _, relaxation = mixed(CELLS)
    for name, parameter in network.named_parameters():
        operator = any(
            name.startswith(f"nodes.{n}.") for c in relaxation.choices for n in c.operators
        )
        assert parameter.requires_grad == (
            not operator or not name.endswith((".norm.weight", ".norm.bias"))
        )


def test_a_gumbel_draw_runs_one_operator_and_teaches_all() -> None:
    alpha = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
    torch.manual_seed(0)
    drawn = [Gumbel()(alpha, 0.5) for _ in range(3000)]
    for weights in drawn[:20]:
        (option,) = weights.active
        assert weights.values.tolist() == pytest.approx([float(o == option) for o in range(3)])
    shares = [sum(w.active == (o,) for w in drawn) / len(drawn) for o in range(3)]
    assert shares == pytest.approx(alpha.softmax(0).tolist(), abs=0.03)
    drawn[0].values[drawn[0].active[0]].backward()
    assert alpha.grad.all()


def test_a_soft_gumbel_hardens_as_its_temperature_falls() -> None:
    alpha = torch.zeros(4)
    torch.manual_seed(0)
    soft = Gumbel(hard=False, start=5.0, end=0.05)
    largest = [
        torch.stack([soft(alpha, progress).values.max() for _ in range(100)]).mean()
        for progress in (0.0, 0.5, 1.0)
    ]
    assert largest == sorted(largest)
    assert largest[0] < 0.5 < 0.9 < largest[2]
    with pytest.raises(DescriptionError, match="start >= end > 0, got start=1"):
        Gumbel(start=1.0, end=2.0)


def test_without_drawing_it_uses_the_softmax() -> None:
    drawn, _alphas, _ = mixed(CELLS, weighting=Gumbel())
    soft = mixed(CELLS, weighting=Softmax())[0]
    soft.load_state_dict(drawn.state_dict())
    x = images()
    assert not torch.equal(drawn(x), drawn(x))
    drawn.drawing = False
    torch.testing.assert_close(drawn(x), soft(x))


def test_a_part_of_the_channels_goes_through_operators() -> None:
    whole = mixed(STACKED)[0]
    network, alphas, relaxation = mixed(STACKED, partial=2)
    sizes = [sum(p.numel() for p in n.parameters()) for n in (whole, network)]
    assert sizes[1] < sizes[0]
    assert [len(edges) for edges in alphas.edges] == [2, 3, 2, 3]
    network(images()).square().sum().backward()
    for name, parameter in alphas.named_parameters():
        assert parameter.grad is not None and parameter.grad.any(), name
    strong = alphas.strengths()
    for join in relaxation.joins:
        assert sum(strong[n].sum().item() for n in join) == pytest.approx(1.0)


def test_channels_that_pass_by_are_mixed_with_the_others() -> None:
    network, _, _relaxation = mixed(CELLS, partial=2)
    node = network.nodes["stage1_cell1_edge0_1"]
    x = torch.arange(2.0, dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    with network.keeping({0: CELLS.operators.index("skip_connect")}):
        weights = network._weights()[0]
    assert torch.equal(node([x], weights), x)
    with pytest.raises(SpaceError, match=r"multiple of partial=3, got 'stage1_cell1_edge0_1'"):
        mixed(CELLS, partial=3)
    with pytest.raises(SpaceError, match=r"all channels.*got partial=2"):
        network.extract({})


def test_skips_are_dropped_less_and_less() -> None:
    network, _, _ = mixed(CELLS, dropout=0.9)
    x = images()
    assert not torch.equal(network(x), network(x))
    network.progress = 1.0
    assert torch.equal(network(x), network(x))
    network.progress = 0.0
    network.eval()
    assert torch.equal(network(x), network(x))
