def initials(name: str) -> str:
    """The first letter of each word, as capitals.

    >>> initials("ada king lovelace")
    'AKL'
    """
