"""Compares mkd with other programs that do the same work (bench/run.sh)."""
