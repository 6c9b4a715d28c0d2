"""Array literals: what stands in a column arrives in its own place, or as NULL."""

import pytest

from butler.storage.postgres import literals

ONE, TWO = "019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ([], "{}"),
        ([ONE, TWO], f"{{{ONE},{TWO}}}"),
        ([ONE, "nonsense", TWO], f"{{{ONE},NULL,{TWO}}}"),
        ([None, TWO], f"{{NULL,{TWO}}}"),
        ([f"{ONE},{TWO}"], "{NULL}"),
        ([f"{ONE},{TWO}", ""], "{NULL,NULL}"),
        ([f"{ONE},{TWO}", "," * 36], "{NULL,NULL}"),
        ([ONE[:-1], f"0{TWO}"], "{NULL,NULL}"),
        ([ONE, TWO.replace("-", "", 1) + "-"], f"{{{ONE},NULL}}"),
        ([ONE, TWO.upper(), TWO[:-1] + "é"], f"{{{ONE},NULL,NULL}}"),
    ],
)
def test_each_id_stands_in_its_own_place_and_what_is_none_is_null(ids, text):
    assert text == literals.uuids(ids)


def test_numbers_that_are_alike_are_written_as_often_as_they_are_there():
    assert literals.numbers([]) == "{}"
    assert literals.numbers([1, 1, 1]) == "{1,1,1}"
    assert literals.numbers([1, None, 2.5]) == "{1,NULL,2.5}"
    assert literals.numbers([None, None]) == "{NULL,NULL}"
