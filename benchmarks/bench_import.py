"""How long does a user wait before the first line runs? Whole processes, package files in the disk cache."""

import subprocess
import sys


class ImportSuite:
    """Seconds of ``python -c "import ..."``; numpy alone is the floor."""

    param_names = ["module"]
    params = [["numpy", "minicv", "minicv.autograd", "minicv.nn"]]

    def time_import(self, module):
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
