"""Days in sentences."""

from datetime import date

from data_platform.intervals import REFERENCE_DAY
from data_platform.words import in_words, number_of


def test_days_that_follow_each_other_are_an_interval() -> None:
    assert number_of([date(1998, 7, 3)]) == "1 day"
    assert in_words([date(1998, 7, 3), date(1998, 6, 30), date(1998, 7, 2)]) == "1998-06-30, [1998-07-02, 1998-07-04)"


def test_the_day_of_reference_tables_is_not_told() -> None:
    assert in_words([REFERENCE_DAY]) == number_of([REFERENCE_DAY]) == "all rows"
    assert in_words([date(1998, 6, 30), REFERENCE_DAY]) == "all rows, 1998-06-30"
