"""Experiments of chapter 2, architectures; `_errata` lists where lecture notes, papers and common code differ."""
