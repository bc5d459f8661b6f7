"""The conductor: from the event of a hook, over its capture, to the records of a run.

``fits`` books a fit, ``streams`` the calls of ``partial_fit`` of one estimator, ``place`` decides
which run they belong to and under which names, ``drawing`` makes the pictures afterwards.
"""
