"""Verdicts are counted, by law, by age and by rollout."""

import numpy as np
import pytest

from learned_envs.evaluation.laws import LawBook, Verdict


def verdict(applies, broken) -> Verdict:
    return Verdict(applies=np.array(applies, bool), broken=np.array(broken, bool))


def test_report_counts_by_age_and_by_rollout():
    book = LawBook(["law"], rows=2, oldest=4, bucket=2)
    age = np.array([[1, 1], [2, 2], [3, 0], [9, 1]])
    judged_steps = age > 0
    book.enter(
        {"law": verdict([[1, 1], [1, 0], [1, 1], [1, 1]], [[0, 0], [1, 0], [0, 1], [1, 0]])},
        age,
        judged_steps,
    )
    report = book.report()
    np.testing.assert_array_equal(report.steps, [5, 2])
    np.testing.assert_array_equal(report.counts["law"].tests, [4, 2])
    np.testing.assert_array_equal(report.counts["law"].violations, [1, 1])
    assert report.held("law") == pytest.approx(1 - 2 / 7)
    assert report.held_when_tested("law") == pytest.approx(1 - 2 / 6)
    assert report.unspoiled("law") == 0.5
    double = report + report
    assert double.rollouts == 4 and double.held("law") == report.held("law")
    assert "law" in double.table() and double.to_json()["laws"]["law"]["spoiled_rollouts"] == 2


def test_reports_of_other_laws_do_not_add_up():
    with pytest.raises(ValueError, match="do not add up"):
        LawBook(["a"], 1).report() + LawBook(["b"], 1).report()
