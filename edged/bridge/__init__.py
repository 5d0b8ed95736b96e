"""`edged bridge`: reads what an existing queue system keeps, and reports it to the hall by the follow contract.

A process of its own: it sees the broker and the other system's database or web service, never daemon or journal. May
import ``config``, ``links``, ``shapes``; nobody imports it but the command line.
"""
