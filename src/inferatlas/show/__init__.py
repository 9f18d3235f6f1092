"""Pictures, pages and files for people: results of the floors below in, nothing computed anew.

In: a `Recommendation`, an `Answer`, facts, rows. Out: what the commands print, block by block (``page``, written by
``tables`` and ``output`` in every format, by ``html`` as a page with charts that loads nothing), one Altair chart per
question (``charts``), and the page of a recommendation (``report``). Charts become inline SVG through vl-convert;
Altair, vl-convert and jinja2 are loaded only where something is drawn. Implements no equation.
"""
