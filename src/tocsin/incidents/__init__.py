"""From a page to people: incidents, escalation, on-call, and the reason for every decision."""
