"""Collection: scrapes, discovery, this host, ourselves, checks, heartbeats. All of it ends as samples, checks also as state."""
