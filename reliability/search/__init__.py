"""
Searches every interleaving of small worlds in which the production functions take all decisions.

A world is what surrounds those functions: a store, a hub, requests on their way, processes that stop, die and come
back. `moves` lists what can happen next, `explore` follows all of it, `invariants` says what must hold.
"""
