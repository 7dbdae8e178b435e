"""Experiments of chapter 3, transformers; `_errata` lists where lecture notes, papers and common code differ."""
