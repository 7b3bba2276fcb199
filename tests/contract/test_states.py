"""What may follow what, so that nothing is bought twice by a change of state."""

import pytest

from decart_lab.contract.states import TRANSITIONS, JobStatus, PointStatus, check_transition

P = PointStatus


def test_every_state_has_a_row_and_leads_only_to_states():
    assert set(TRANSITIONS) == set(PointStatus)


def test_a_point_that_may_have_been_bought_is_never_planned_again():
    for status in (P.IN_DOUBT, P.PENDING, P.PROCESSING, P.COMPLETED, P.FAILED, P.LOST):
        assert P.PLANNED not in TRANSITIONS[status]


def test_an_accepted_job_is_never_submitted_again():
    for status in (P.PENDING, P.PROCESSING, P.COMPLETED):
        assert P.SUBMITTING not in TRANSITIONS[status]


def test_an_impossible_change_is_a_bug_that_names_both_states():
    with pytest.raises(AssertionError, match="completed to planned"):
        check_transition(P.COMPLETED, P.PLANNED)
    check_transition(P.PENDING, P.PENDING)


def test_only_completed_and_failed_jobs_are_final():
    assert [s for s in JobStatus if s.final] == [JobStatus.COMPLETED, JobStatus.FAILED]
