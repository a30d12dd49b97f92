"""CLINC150 and BANKING77: which intent a request has, and whether it has any. The data is the publishers', in files
that the user gives; it is a sentence embedder that is measured, and no other model is asked.

data   the files, what of them examples are drawn from, and what is asked
means  the nearest mean of the examples' embeddings
suite  the items, and what counts as right
"""
