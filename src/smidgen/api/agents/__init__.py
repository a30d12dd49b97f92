"""Agents over HTTP: named ones, runs told event by event, approvals, and sessions that survive the program.

known      the agents there are; any client gets one by naming it as the model
named      the agent of a run, from what its request says
live       a run that goes on: its events numbered and stored before anybody sees them; approvals
runs       starts runs, one at a time in a session, and finds them again
feed       a run's events as server-sent events, from any number on
requests   bodies; answers: schemas of what goes back; routes: the paths
"""
