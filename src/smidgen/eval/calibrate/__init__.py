"""A short calibration: how one model is best helped to call tools, found on the shipped `calibration` tasks.

Nothing is chosen by less than noise: what was written by hand stays unless something else was measurably better, or
as good and quicker. Every fourth task is held back: it is never used to choose, and the score before and after is
measured on it.

sample    which tasks are for choosing and which are held back, and tools to choose among
collect   measurements: calls written with the right tool given, likelihoods, nearness
race      candidates against each other on more and more tasks, fewer and fewer of them
fit       logistic regression towards what was written by hand, and whether it is worth it
choose    the decisions, each from its measurements
score     the held-back tasks through the whole agent
tune      all of it for one model
report    tables for the terminal, JSON
"""
