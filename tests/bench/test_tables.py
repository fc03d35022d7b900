"""Tables of every schema: what is read, what a space draws, and what is refused."""

import math

import numpy as np
import optuna
import pytest
import tables

from optuna_nas.bench.tables import load
from optuna_nas.exceptions import DataError


def saved(path, arrays):
    np.savez(path, **arrays)
    return path


def draws(table, count=150):
    """Trials of random networks, and their rows."""
    study = optuna.create_study(
        directions=["minimize"] * 2, sampler=optuna.samplers.RandomSampler(seed=0)
    )
    rows = [table.space(study.ask()).row for _ in range(count)]
    return study.trials, rows


@pytest.fixture
def any_table(tmp_path, request):
    return {
        "general": lambda: load(saved(tmp_path / "t.npz", tables.general()), "cpu"),
        "nasbench201": lambda: load(saved(tmp_path / "t.npz", tables.nasbench201()), "fast"),
        "curves": lambda: _curves(tmp_path),
        "ec_nas": lambda: _ec_nas(tmp_path, "inference"),
        "energy": lambda: _ec_nas(tmp_path, "training-energy"),
        "translation": lambda: load(saved(tmp_path / "t.npz", tables.translation()), "aa-bb"),
    }[request.param]()


def _curves(folder):
    saved(folder / "all.npz", tables.nasbench201())
    return load(saved(folder / "curves.npz", tables.curves()), "slow")


def _ec_nas(folder, device):
    tables.ec_nas(folder / "t.csv.gz")
    return load(folder / "t.csv.gz", device)


ALL = ["general", "nasbench201", "curves", "ec_nas", "energy", "translation"]
every = pytest.mark.parametrize("any_table", ALL, indirect=True)


@every
def test_a_space_draws_every_row_and_no_other(any_table):
    trials, rows = draws(any_table, 400)
    count = len(any_table.error)
    assert set(rows) <= set(range(count))
    assert len(set(rows)) == count or count > 100
    names = [frozenset(t.params.items()) for t in trials]
    assert len(set(names)) == len(set(rows))  # equal parameters, and only they, are equal rows


@every
def test_the_nearest_row_of_a_rows_own_values_is_itself(any_table):
    for row in range(0, len(any_table.error), 7):
        wanted = {p.name: int(p.codes[row]) for p in any_table.parameters if p.codes[row] >= 0}
        assert any_table.nearest(wanted).row == row


@every
def test_rungs_fronts_and_costs_fit_together(any_table):
    rows, rungs = any_table.error.shape
    assert any_table.spent.shape == any_table.costs.shape == (rows, rungs)
    assert len(any_table.steps) == rungs
    assert any_table.unit == pytest.approx(any_table.spent[:, -1].mean())
    assert any_table.fraction(range(rows)) == pytest.approx(1)
    assert any_table.distance(range(rows)) == pytest.approx(0)
    assert any_table.fraction([]) == 0 and any_table.distance([]) == math.inf
    assert any_table.distance([0]) > 0


@every
def test_different_rows_are_different_networks(any_table):
    digests = {any_table.cell(row).digest for row in range(min(len(any_table.error), 40))}
    assert len(digests) > 1


def test_the_general_form_is_read_as_documented(tmp_path):
    arrays = tables.general()
    table = load(saved(tmp_path / "t.npz", arrays), "gpu")
    np.testing.assert_allclose(np.exp(table.cost), arrays["cost"][:, 1])
    assert table.known and table.resumes
    np.testing.assert_array_equal(table.spent, np.tile([1, 3, 9], (7, 1)))
    trials, rows = draws(table)
    for trial, row in zip(trials, rows, strict=True):
        assert ("activation" in trial.params) == (arrays["parameter.layers"][row] == 2)
        some = "width{8,16}" if arrays["parameter.layers"][row] == 2 else "width"
        assert some in trial.params
    arrays["cost"] = np.repeat(arrays["cost"][:, None], 3, axis=1)
    shown = load(saved(tmp_path / "t.npz", arrays), "gpu")
    assert not shown.known
    assert shown.cost.shape == (7, 3)


def test_curves_are_rungs_of_one_training(tmp_path):
    table = _curves(tmp_path)
    assert table.steps == [1, 3, 9, 27, 81]
    curves = tables.curves()
    np.testing.assert_allclose(table.error[:, 2], 100 - curves["valid_acc"][:, 8])
    cells = load(tmp_path / "all.npz", "slow")
    np.testing.assert_allclose(table.cost, cells.cost[curves["arch_index"]])
    assert [table.cell(k).nodes for k in range(5)] == [
        cells.cell(int(k)).nodes for k in curves["arch_index"]
    ]


@every
def test_networks_are_the_same_where_the_table_says_so(any_table):
    rows = range(len(any_table.error))
    digests = {any_table.cell(row).digest for row in rows}
    assert len(digests) == len(set(any_table.same.tolist()))
    for row in rows:
        assert any_table.cell(row).digest == any_table.cell(int(any_table.same[row])).digest


def test_curves_need_the_file_of_all_cells_beside_them(tmp_path):
    with pytest.raises(DataError, match="beside"):
        load(saved(tmp_path / "curves.npz", tables.curves()), "slow")


def test_energy_is_what_training_shows_and_inference_is_known(tmp_path):
    inference, energy = (_ec_nas(tmp_path, d) for d in ("inference", "training-energy"))
    assert inference.known and not energy.known
    assert inference.steps == energy.steps == [2, 4]
    np.testing.assert_allclose(energy.cost[:, 0], energy.cost[:, 1])  # in proportion
    first = inference.cell(0)
    assert [node.kind for node in first.nodes] == ["output"]
    assert len(inference.error) == tables.ec_nas(tmp_path / "again.csv.gz")


def test_a_translation_pays_only_until_it_stopped(tmp_path):
    arrays = tables.translation()
    path = saved(tmp_path / "t.npz", arrays)
    table = load(path, "aa-bb")
    lengths = np.isfinite(arrays["ppl_curve"]).sum(axis=1)[:-3]
    assert len(table.error) == len(lengths)  # one has no BLEU, two are of another pair
    np.testing.assert_array_equal(table.spent[:, -1], lengths)
    assert (table.spent <= lengths[:, None]).all()
    np.testing.assert_allclose(
        table.error[:, -1], np.log(np.nanmin(arrays["ppl_curve"][:-3], axis=1))
    )
    bleu = load(path, "aa-bb-bleu")
    np.testing.assert_allclose(bleu.error[:, -1], 100 - arrays["dev_bleu"][:-3])
    np.testing.assert_allclose(bleu.error[:, 0], table.error[:, 0])


def test_equal_rows_of_a_translation_count_once(tmp_path):
    arrays = tables.translation()
    for name in ("bpe", "num_layers", "embed", "ff", "heads", "lr"):
        arrays[name][1] = arrays[name][0]
    assert len(load(saved(tmp_path / "t.npz", arrays), "aa-bb").error) == 36


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ops": None}, "ops"),
        ({"edges": np.zeros(6)}, "edges"),
        ({"acc12_valid": np.zeros(3)}, "equal lengths"),
        ({"acc12_valid": np.full(729, "a")}, "numbers in acc12_valid"),
        ({"acc200_valid_seeds": np.full((729, 2), math.nan)}, "729 rows"),
        ({"latency_ms": np.zeros((729, 2))}, "positive"),
        ({"ops": np.full((729, 6), 9)}, "places of op_names"),
    ],
)
def test_a_nasbench201_of_a_wrong_form_is_refused(tmp_path, change, message):
    _refused(tmp_path, tables.nasbench201() | change, "slow", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": np.array([3, 1, 9])}, "rising"),
        ({"error": np.full((7, 3), math.nan)}, "7 rows"),
        ({"error": np.zeros((7, 2))}, "equal lengths"),
        ({"error": np.ones((7, 3))}, "all alike"),
        ({"cost": np.ones((6, 2))}, "equal lengths"),
        ({"cost": None}, "cost"),
        ({"same": np.arange(7) + 1}, "numbers of rows"),
        ({"parameter.width": np.full(7, 8)}, "equal parameters"),
        ({"parameter.layers": np.full(7, 2)}, "'activation'"),
        (dict.fromkeys(["parameter.layers", "parameter.width", "parameter.activation"]), "NAME"),
    ],
)
def test_a_general_table_of_a_wrong_form_is_refused(tmp_path, change, message):
    _refused(tmp_path, tables.general() | change, "cpu", message)


def _refused(folder, arrays, device, message):
    path = saved(folder / "wrong.npz", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(DataError, match=message):
        load(path, device).fraction([0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [line | {"space": "other"} for line in lines], "5V9E"),
        (lambda lines: [line | {"ops": "[-1]"} for line in lines], "adjacency"),
        (lambda lines: [line | {"valid_acc": "much"} for line in lines], "much"),
        (lambda lines: lines[:-1], "EC-NAS"),
        (lambda lines: [{k: v for k, v in x.items() if k != "hash"} for x in lines], "hash"),
    ],
)
def test_an_ec_nas_of_a_wrong_form_is_refused(tmp_path, change, message):
    tables.ec_nas(tmp_path / "t.csv.gz", change)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "t.csv.gz", "inference")


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no table")
    (tmp_path / "text.csv.gz").write_text("no table")
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("text.npz", "text.csv.gz", "absent.npz", "absent.csv", "one.npy"):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            load(tmp_path / name, "inference")
    with pytest.raises(DataError, match="one of these sets"):
        load(saved(tmp_path / "other.npz", {"x": np.zeros(3)}), "slow")
    with pytest.raises(DataError, match="a device of the table"):
        load(saved(tmp_path / "t.npz", tables.general()), "none")


@pytest.mark.parametrize(
    ("name", "device", "rows", "steps"),
    [
        ("nb201_cifar10.npz", "raspi4", 15625, [12, 200]),
        ("nb201_cifar10_curves_200.npz", "gold_6226", 200, [2, 7, 22, 67, 200]),
        ("ec_nas.csv.gz", "inference", 2532, [2, 4]),
        ("ec_nas.csv.gz", "training-energy", 2532, [2, 4]),
        ("nmt_transformers.npz", "so-en", 604, [2, 6, 41]),
        ("nmt_transformers.npz", "en-ja-bleu", 163, [9, 26, 77, 423]),
    ],
)
def test_published_tables_are_read(data_file, name, device, rows, steps):
    table = load(data_file(name), device)
    assert len(table.error) == rows
    assert list(table.steps) == steps
    assert 0 < table.fraction(draws(table, 30)[1]) < 1
