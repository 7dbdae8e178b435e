"""What happened during training: one row of numbers per epoch, one loss per step."""

import csv
import io
import json
import warnings
from pathlib import Path

from ..errors import ArgError, CheckpointError
from ..files import atomic_write


class History:
    """Rows of metrics, one dict per finished epoch, and the loss of every step.

    It is part of the checkpoint, so a resumed run continues the same record. ``history["loss"]`` is the
    column of a metric over the epochs.
    """

    def __init__(self, rows=(), losses=()):
        self.rows, self.losses = list(rows), list(losses)

    def __getitem__(self, name):
        return [row[name] for row in self.rows if name in row]

    def __len__(self):
        return len(self.rows)

    @property
    def last(self):
        """The newest row; {} before the first epoch has ended."""
        return self.rows[-1] if self.rows else {}

    def state_dict(self):
        """Rows and losses as plain lists."""
        return {"rows": [dict(row) for row in self.rows], "losses": list(self.losses)}

    def load_state_dict(self, saved):
        """Continue from a saved record."""
        self.rows, self.losses = [dict(r) for r in saved["rows"]], [float(x) for x in saved["losses"]]

    def __repr__(self):
        return f"History({len(self.rows)} epochs, last {self.last})"


class Log:
    """Writes a history to a file after every epoch: ``.csv`` or ``.jsonl`` by the name's ending.

    The file is replaced as a whole each time, so it never holds half a line. A full disk costs the log, not
    the training: the first failure warns, later ones are silent.
    """

    def __init__(self, path):
        self.path, self._warned = Path(path), False
        if self.path.suffix not in (".csv", ".jsonl"):
            raise ArgError(f"Log: path ends in {self.path.suffix!r}, expected .csv or .jsonl")

    def write(self, history):
        """Bring the file up to date."""
        text = _csv(history.rows) if self.path.suffix == ".csv" else _jsonl(history.rows)
        try:
            atomic_write(self.path, text.encode())
        except CheckpointError as e:
            if not self._warned:
                self._warned = True
                warnings.warn(f"Log: {e}; training goes on without the log", stacklevel=2)


def _csv(rows):
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)
