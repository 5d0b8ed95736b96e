"""Everything that takes long, run on purpose: ``python -m tests.campaign --hours H`` records it in CAMPAIGN.md."""
