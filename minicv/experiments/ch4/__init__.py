"""Experiments of chapter 4, object detection; `_errata` lists where lecture notes, papers and common code differ."""
