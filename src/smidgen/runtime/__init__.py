"""The composition root: configuration in, wired objects out. Opens and closes everything.

bridge    one home event loop; blocking calls and awaits from elsewhere go through it
loading   a model's name -> its file, profile, template, fit and engine, leased from the pool
planning  how a model is opened here, and the next smaller way
held      what is told of the models in memory
layout    the file itself, or a copy of it whose weights this processor multiplies faster
preparation a load, once for all who wait for it
installed what the native library is, asked in a process of its own
runtime   Runtime: generate, stream, score, embed
agent     Agent and Chat: a model with tools and instructions
answers   Generation and Answer, built from events
"""
