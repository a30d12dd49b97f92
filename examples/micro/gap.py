"""`smidgen do complete examples/micro/gap.py:5` says what is missing behind `return`."""


def is_leap_year(year: int) -> bool:
    return


def days_in(year: int) -> int:
    return 366 if is_leap_year(year) else 365
