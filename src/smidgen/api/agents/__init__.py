"""Agents over HTTP: named ones, runs told event by event, approvals, and sessions that survive the program.

named      the agents there are, and a run's agent from what a request says
live       a run that goes on: its events numbered and stored before anybody sees them; approvals
runs       starts runs, one at a time in a session, and finds them again
feed       a run's events as server-sent events, from any number on
requests   bodies; routes: the paths
"""
