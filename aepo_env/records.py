"""`new_record`: make a NamedTuple at half the price, for the few records that every step makes.

    new_record(Turn, (text, observation, calls, malformed))      # Turn(text, observation, calls, malformed)

A NamedTuple's own constructor is a Python function around this one. A step makes seven records, and makes 16 % more
steps a second this way. The price: nobody counts the fields, so *all* must be given, in order, defaults too; a test
(tests/test_records.py) compares each with the ordinary constructor. Anywhere else, call the class.
"""

new_record = tuple.__new__
