"""USB keypads as call panels or evaluators, and scanners at which visitors check in."""
