from hypothesis import settings

# The machine that runs the tests may be busy: what a property says does not depend on how long an example takes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
