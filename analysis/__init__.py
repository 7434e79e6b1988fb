"""Sequential statistics for releases: numbers in, evidence out.

Knows nothing of clusters, HTTP, files or clocks. `analysis.words` holds the plain types and may be
imported anywhere; the modules that compute need numpy and scipy and are imported only where numbers
are needed.
"""
