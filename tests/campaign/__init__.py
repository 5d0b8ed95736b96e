"""The long tests, started by hand: ``python -m tests.campaign --hours H`` runs them and records the results in
CAMPAIGN.md.
"""
