"""The pickled call of an execution's RQ job."""

import pickle

from rq.utils import import_attribute

from butler.ids import new_id
from butler.job_call import AFTER_ID, BEFORE_ID, ENTRY_POINT

LONGEST_VALUE = 64  # hash-max-listpack-value


def call_of(execution_id):
    return BEFORE_ID + execution_id.encode() + AFTER_ID


def test_the_call_is_what_rq_reads():
    execution_id = new_id()
    assert pickle.loads(call_of(execution_id)) == (ENTRY_POINT, None, (execution_id,), {})


def test_the_call_leaves_its_hash_in_one_piece():
    assert len(call_of(new_id())) <= LONGEST_VALUE


def test_the_call_names_a_function_that_rq_can_import():
    assert import_attribute(ENTRY_POINT).__module__ == "butler_workers"
