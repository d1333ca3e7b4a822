"""The ops: forward and rules, by family."""
