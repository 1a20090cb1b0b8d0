"""Faults against the rules of the contract about: surroundings."""

from planting import (
    GRID_DECODE,
    GRID_JUDGE,
    GRID_PICTURE,
    GRID_PIXELS,
    LINE_DECODE,
    LINE_ENCODE,
    LINE_REQUEST,
    LINE_START,
    PARTS,
    WORLD,
    ahead,
    behind,
    grid,
    line,
)

SOCKET = (
    "import socket\n\n"
    "        try:\n"
    '            socket.create_connection(("127.0.0.1", 9), timeout=0.2).close()\n'
    "        except OSError:\n"
    "            pass\n"
    "        "
)
SURROUNDINGS = (
    line(
        "imports_change_no_settings",
        "a greeting",
        ahead(PARTS, "STD = 0.5", 'print("sprout is loaded")\n'),
    ),
    line(
        "imports_change_no_settings", "a seed", ahead(PARTS, "STD = 0.5", "torch.manual_seed(0)\n")
    ),
    grid(
        "imports_change_no_settings",
        "a seed of NumPy",
        ahead(PARTS, "MEAN, STD = ", "np.random.seed(0)\n"),
    ),
    grid(
        "imports_change_no_settings",
        "another usual dtype",
        ahead(PARTS, "MEAN, STD = ", "torch.set_default_dtype(torch.float64)\n"),
    ),
    line(
        "imports_change_no_settings",
        "three threads",
        ahead(PARTS, "STD = 0.5", "torch.set_num_threads(3)\n"),
    ),
    line(
        "imports_change_no_settings",
        "warnings are switched off",
        ahead(PARTS, "STD = 0.5", 'import warnings\n\nwarnings.filterwarnings("ignore")\n'),
    ),
    line(
        "imports_change_no_settings",
        "a variable of the environment",
        ahead(PARTS, "STD = 0.5", 'import os\n\nos.environ["TOKENIZERS_PARALLELISM"] = "false"\n'),
    ),
    line(
        "imports_change_no_settings",
        "logging is set up",
        ahead(PARTS, "STD = 0.5", "import logging\n\nlogging.basicConfig(level=logging.DEBUG)\n"),
    ),
    grid(
        "imports_change_no_settings",
        "faults of NumPy are raised",
        ahead(PARTS, "MEAN, STD = ", 'np.seterr(all="raise")\n'),
    ),
    line(
        "imports_change_no_settings",
        "gradients are switched off",
        ahead(PARTS, "STD = 0.5", "torch.set_grad_enabled(False)\n"),
    ),
    line(
        "imports_change_no_settings",
        "deeper recursion",
        ahead(PARTS, "STD = 0.5", "import sys\n\nsys.setrecursionlimit(99_999)\n"),
    ),
    line(
        "parts_change_no_settings",
        "writing goes to the folder of the file",
        ahead(PARTS, LINE_REQUEST, '__import__("os").chdir(path.parent)\n        '),
    ),
    line(
        "parts_change_no_settings",
        "encoding switches gradients off",
        ahead(PARTS, LINE_ENCODE, "torch.set_grad_enabled(False)\n        "),
    ),
    grid(
        "parts_change_no_settings",
        "decoding changes the usual dtype",
        ahead(PARTS, GRID_DECODE, "torch.set_default_dtype(torch.float16)\n        "),
    ),
    grid(
        "parts_change_no_settings",
        "drawing takes three threads",
        ahead(WORLD, "low, high = SHADES", "torch.set_num_threads(3)\n        "),
    ),
    line(
        "parts_change_no_settings",
        "reading switches warnings off",
        ahead(
            PARTS,
            "lines = path.read_text",
            '__import__("warnings").simplefilter("ignore")\n            ',
        ),
    ),
    line(
        "parts_change_no_settings",
        "writing changes the rights of later files",
        ahead(PARTS, LINE_REQUEST, '__import__("os").umask(0o077)\n        '),
    ),
    grid(
        "parts_change_no_settings",
        "reading takes files that are cut off from then on",
        behind(PARTS, "from PIL import Image", ", ImageFile"),
        ahead(PARTS, GRID_PIXELS, "ImageFile.LOAD_TRUNCATED_IMAGES = True\n            "),
    ),
    line(
        "parts_change_no_settings",
        "decoding switches to algorithms of its own",
        ahead(PARTS, LINE_DECODE, "torch.use_deterministic_algorithms(True)\n        "),
    ),
    line(
        "parts_change_no_settings",
        "reading raises faults of NumPy from then on",
        ahead(PARTS, "values = np.array(", 'np.seterr(all="raise")\n            '),
    ),
    line(
        "parts_take_no_global_random_numbers",
        "encoding draws noise that is not used",
        ahead(PARTS, LINE_ENCODE, "torch.randn_like(media)\n        "),
    ),
    line(
        "parts_take_no_global_random_numbers",
        "drawing seeds NumPy",
        ahead(WORLD, LINE_START, '__import__("numpy").random.seed(0)\n        '),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "a preview takes a number of Python's",
        ahead(PARTS, GRID_PICTURE, '__import__("random").random()\n        '),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "decoding seeds torch",
        ahead(PARTS, GRID_DECODE, "torch.manual_seed(0)\n        "),
    ),
    grid(
        "parts_take_no_global_random_numbers",
        "judging takes a number of NumPy's",
        ahead(WORLD, GRID_JUDGE, '__import__("numpy").random.rand()\n        '),
    ),
    line("parts_need_no_network", "encoding asks a server", ahead(PARTS, LINE_ENCODE, SOCKET)),
    grid("parts_need_no_network", "a preview asks a server", ahead(PARTS, GRID_PICTURE, SOCKET)),
    line(
        "parts_need_no_network",
        "writing reports to a server",
        ahead(
            PARTS,
            LINE_REQUEST,
            "from urllib.request import urlopen\n\n"
            "        try:\n"
            '            urlopen("http://127.0.0.1:9/", timeout=0.2)\n'
            "        except OSError:\n"
            "            pass\n"
            "        ",
        ),
    ),
    grid(
        "parts_need_no_network",
        "the modality asks for news when it is made",
        (PARTS, "self.options = options\n", f"self.options = options\n        {SOCKET}\n"),
    ),
    line(
        "parts_need_no_network",
        "a name is looked up",
        ahead(
            PARTS,
            LINE_DECODE,
            SOCKET.replace(
                'create_connection(("127.0.0.1", 9), timeout=0.2).close', "getaddrinfo"
            ).replace("getaddrinfo()", 'getaddrinfo("localhost", 80)'),
        ),
    ),
)
