import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import optuna_nas as nas
from optuna_nas.architecture import INPUT, Architecture, Node
from optuna_nas.samplers.genes import Encoder, genes
from optuna_nas.samplers.virtual import Proposal, draw, heir, replay


def test_parameters_are_numbers_between_one_and_two_or_flags():
    distributions = {
        "depth": IntDistribution(2, 10),
        "rate": FloatDistribution(1e-4, 1e-2, log=True),
        "kind": CategoricalDistribution(["conv", "pool"]),
        "fixed": IntDistribution(3, 3),
    }
    network = Proposal({"depth": 6, "rate": 1e-3, "kind": "pool", "fixed": 3}, distributions)
    assert genes(network) == {"depth": 1.5, "rate": 1.5, "kind=1": 1.0}


def test_paths_do_not_see_nodes_that_add_up():
    graph = Architecture(
        (
            Node("a", "conv", {}, (INPUT,)),
            Node("b", "pool", {}, ("a",)),
            Node("c", "conv", {}, (INPUT,)),
            Node("d", "add", {}, ("a", "b", "c")),
            Node("dead", "pool", {}, (INPUT,)),
        ),
        "d",
    )
    found = genes(Proposal({}, {}, graph))
    paths = {name: count for name, count in found.items() if name.startswith("path")}
    assert paths == {"path >conv": 2, "path >conv>pool": 1}
    assert found["nodes conv"] == 2


def test_what_only_one_network_has_is_no_column():
    encode = Encoder([{"a": 1.0, "b": 2.0}, {"a": 1.5}])
    assert encode([{"a": 1.5, "b": 1.0, "new": 3.0}, {}]).tolist() == [[1.5], [0.0]]


def test_a_proposal_is_drawn_and_replayed_outside_any_study():
    import numpy as np

    space = nas.spaces.CNN(input_shape=(1, 8, 8))
    proposal = draw(space, heir((), 1.0, np.random.default_rng(0)))
    assert replay(space, proposal).identity == proposal.identity
    child = draw(space, heir((proposal,), 0.0, np.random.default_rng(1)))
    assert child.identity == proposal.identity
    study = optuna.create_study()
    study.enqueue_trial(proposal.params)
    assert space(study.ask()).digest == proposal.drawn.digest
