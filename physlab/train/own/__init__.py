"""Training on data of one's own: ``physlab train METHOD TRUTH OUT``.

What is asked (:mod:`.request`), the files behind it (:mod:`.source`, :mod:`.matching`), samples cut out of them in
blocks (:mod:`.cutting`) or read while a training runs (:mod:`.streamed`), the pairs (:mod:`.data`, :mod:`.reading`),
which method a name means (:mod:`.methods`), one file for each family of methods behind one door (:mod:`.fit`), what
came out beside what needs no training (:mod:`.compare`), and the page that says so (:mod:`.report`).
:func:`physlab.train.own.run.train_own` is the whole.
"""
