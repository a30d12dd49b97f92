"""BATCHES: the process that holds a model. One synchronous loop: receive, plan, decode, sample, emit.

prefix      which sequence slots share which cells of the KV cache; ids and numbers only
scheduler   what to decode next; ids and numbers only
sequence    one request's tokens and progress
sample      logits -> token, as a function of (seed, position, logits)
constrain   grammar masks and forced tokens
stream      bytes -> whole characters, stop strings held back
generation  one generation: the four above put together
trie        candidates laid out for one-pass scoring; ids and numbers only
score       runs the trie
embed       embeddings, a batch at a time between the streams' turns
intake      requests as they arrive: tokenised, checked, turned into sequences
channel     the socket to the parent
loop        the loop; main starts it
"""
