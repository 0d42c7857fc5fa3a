import bias_answers
import numpy as np
import pyarrow as pa
import pytest
from told import concluded, measured

from audits.people.association import Cells, strengths
from audits.people.intervals import false_discovery


def corpus(seed=0, count=1500, tilt=0.0):
    """Return captions of women and men at work; nurses are women more often by `tilt`."""
    rng = np.random.default_rng(seed)
    rows = []
    for n in range(count):
        work = rng.choice(["nurse", "farmer", "teacher", "driver"])
        woman = rng.random() < 0.5 + (tilt if work == "nurse" else 0)
        rows.append((str(n), None, f"a {'woman' if woman else 'man'}, a {work}"))
    return rows


def test_a_planted_association_is_found_with_its_direction_and_size():
    found = concluded(measured(corpus(tilt=0.3)))
    pair = found["nPMI stated gender=woman, stated occupation=nurse"]
    assert 0 < pair.low < pair.value < pair.high < 1
    assert found["nPMI stated gender=man, stated occupation=nurse"].high < 0
    assert "log-odds +" in pair.note
    assert found["associations beyond chance"].value >= 2


def test_where_nothing_is_associated_nothing_is_reported():
    found = concluded(measured(corpus()))
    assert found["associations compared"].value == 8
    assert found["associations beyond chance"].value == 0
    assert not [name for name in found if name.startswith("nPMI")]


def test_pictures_without_people_make_no_group_stand_out():
    """Against landscapes both women and men would go with every trade."""
    rows = [*corpus(), *[(f"l{n}", None, "a lake") for n in range(5000)]]
    assert concluded(measured(rows))["associations beyond chance"].value == 0


def test_copies_add_no_evidence():
    rows = corpus(count=240, tilt=0.1)
    copies = [(f"{n}-{name}", None, caption) for name, _, caption in rows for n in range(20)]
    roots = [None] * len(rows) + [name for name, _, _ in rows for _ in range(20)]
    once = concluded(measured(rows))
    clustered = concluded(measured([*rows, *copies], duplicate_of=pa.array(roots, pa.string())))
    repeated = concluded(measured([*rows, *copies]))
    assert clustered["associations beyond chance"] == once["associations beyond chance"]
    assert once["associations beyond chance"].value == 0
    assert repeated["associations beyond chance"].value > 0


def test_what_is_too_rare_is_insufficient_evidence_and_never_an_association():
    rows = [(f"w{n}", None, "a woman, a nurse") for n in range(20)]
    rows += [(f"m{n}", None, "a man, a driver") for n in range(200)]
    found = concluded(measured(rows))
    assert found["associations compared"].value == 0
    assert found["associations with insufficient evidence"].value == 4
    assert "Insufficient evidence" in found["associations with insufficient evidence"].note


def test_declared_groups_go_with_stated_work_too():
    rows = [(f"w{n}", {"religion": "a"}, "a nurse" if n % 2 else "a lake") for n in range(80)]
    rows += [(f"m{n}", {"religion": "b"}, "a nurse" if n % 8 == 0 else "a lake") for n in range(80)]
    found = concluded(measured(rows))
    assert found["nPMI religion=a, stated occupation=nurse"].value > 0


def test_false_discoveries_in_corpora_without_associations_keep_their_rate():
    rate = bias_answers.discoveries(corpora=200)
    assert rate <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_the_prior_draws_rare_pairs_to_nothing_and_leaves_frequent_ones():
    few, many = (Cells(*np.array([[n * 10.0], [n * 5.0], [n * 2.0], [n * 2.0]])) for n in (3, 3000))
    rare, frequent = strengths(few), strengths(many)
    assert 0 < rare.npmi[0] < frequent.npmi[0]
    assert 0 < rare.log_odds[0] < frequent.log_odds[0]
    assert frequent.npmi[0] == pytest.approx(np.log(2) / np.log(5), rel=1e-2)


def test_intervals_of_npmi_hold_the_truth_as_often_as_they_say():
    rng, truth = np.random.default_rng(1), np.array([0.1, 0.2, 0.1, 0.6])
    npmi = np.log(0.1 / (0.3 * 0.2)) / -np.log(0.1)
    cells = rng.multinomial(2000, truth, 2000).astype(float)
    found = strengths(Cells(np.full(2000, 2000.0), cells[:, 0] + cells[:, 1],
                            cells[:, 0] + cells[:, 2], cells[:, 0]))  # fmt: skip
    assert 0.93 < np.mean(np.abs(found.npmi - npmi) <= found.npmi_half) < 0.97


def test_q_values_are_those_of_benjamini_and_hochberg():
    """The fifteen p-values of their paper's example: four hypotheses are rejected at 0.05."""
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240,
                  0.4262, 0.5719, 0.6528, 0.7590, 1.0])  # fmt: skip
    q = false_discovery(p)
    assert (q <= 0.05).sum() == 4
    assert q[3] == pytest.approx(0.0095 * 15 / 4)
    assert (np.diff(q) >= 0).all()
    order = np.random.default_rng(0).permutation(15)
    assert (false_discovery(p[order]) == q[order]).all()
