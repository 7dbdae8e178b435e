"""Experiments of chapter 1, optimizers; `errata` lists where lecture notes, papers and common code differ."""
