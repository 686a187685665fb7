"""The metric store: head, write-ahead log, blocks, and the follower that reads them from another process."""
