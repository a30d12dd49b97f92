"""GSM8K: word problems whose answer is a number. The data is the publisher's, in a file that the user gives.

suite     its items, and what counts as right
baseline  the model alone, asked to reason step by step
numbers   pure: the number that a text comes to
"""
