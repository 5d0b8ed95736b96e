"""`edged bridge`: reads the data of an existing queue system and reports it to the hall as messages of the follow
contract (configs/asyncapi.yaml, kind "queue").

It is a process of its own, connected to the broker and to the other system's database or web service, not to the daemon
or its journal. It may import ``config``, ``links``, ``shapes``; only the command line imports it.
"""
