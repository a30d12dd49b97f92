"""HumanEval: functions to be written. Data and tests are the publisher's, in a file that the user gives.

suite     its items, and what counts as right: the publisher's tests, run in the sandbox
baseline  the model alone, whose likeliest answer is believed as it is
"""
