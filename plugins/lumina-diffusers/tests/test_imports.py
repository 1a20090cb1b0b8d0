import subprocess
import sys

from lumina_diffusers.plugin import lumina_networks


def test_looking_at_the_networks_does_not_import_diffusers():
    modules = {path.partition(":")[0] for path in lumina_networks().values()}
    source = f"import sys, {', '.join(sorted(modules))}; sys.exit('diffusers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
