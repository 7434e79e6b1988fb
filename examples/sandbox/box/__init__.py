"""Makes, replaces and destroys the sandbox, and looks how hard it is. Needs nothing but Python and Docker."""
