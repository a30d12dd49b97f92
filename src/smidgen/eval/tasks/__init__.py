"""Suites of our own: requests as users write them, and the calls that are right for each. Shipped as JSON beside.

A file holds tools of its own, or names smidgen's built-in ones, and tasks. A task says which tools are on offer and
which calls must be made, with every value that is accepted; or that none must be, because nothing fits or because
something is missing that only the user can say.

checker        whether calls are those that a task expects, and in plain words what is wrong with them
suite          a file as a suite
everyday.json  150 requests over the built-in tools
"""
