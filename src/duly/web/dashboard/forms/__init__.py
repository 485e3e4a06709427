"""Forms: pure values that turn what is stored into texts to type, and typed texts back into values.

A form is two mappings of names to texts: those that it started with, and those that were typed. A
text that was not changed keeps the stored value exactly, whatever the text shows of it.
"""
