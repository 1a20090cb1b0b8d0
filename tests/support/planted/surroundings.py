"""Faults against the rules of the contract about: surroundings."""

from planting import (
    GRID_DECODE,
    GRID_ENCODE,
    GRID_JUDGE,
    GRID_PICTURE,
    GRID_PIXELS,
    LINE_DECODE,
    LINE_ENCODE,
    LINE_REQUEST,
    LINE_START,
    PARTS,
    TASK_OF,
    WORLD,
    ahead,
    behind,
    grid,
    line,
)

FIT_BEGINS = "num_tokens = min("


def asking(call: str) -> str:
    """A call of the module socket that may fail, ahead of a statement of a method."""
    return (
        "import socket\n\n"
        "        try:\n"
        f"            socket.{call}\n"
        "        except OSError:\n"
        "            pass\n"
        "        "
    )


SOCKET = asking('create_connection(("127.0.0.1", 9), timeout=0.2).close()')
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
        ahead(PARTS, "MEAN, STD = ", '__import__("numpy").random.seed(0)\n'),
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
        ahead(PARTS, "MEAN, STD = ", '__import__("numpy").seterr(all="raise")\n'),
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
        "imports_change_no_settings",
        "products of matrices are rounded",
        ahead(PARTS, "STD = 0.5", 'torch.set_float32_matmul_precision("high")\n'),
    ),
    grid(
        "imports_change_no_settings",
        "cuDNN looks for the fastest",
        ahead(PARTS, "MEAN, STD = ", "torch.backends.cudnn.benchmark = True\n"),
    ),
    line(
        "imports_change_no_settings",
        "another usual device",
        ahead(PARTS, "STD = 0.5", 'torch.set_default_device("meta")\n'),
    ),
    line(
        "imports_change_no_settings",
        "warnings for users are switched off",
        ahead(
            PARTS,
            "STD = 0.5",
            'import warnings\n\nwarnings.filterwarnings("ignore", category=UserWarning)\n',
        ),
    ),
    grid(
        "imports_change_no_settings",
        "pictures of any size",
        ahead(PARTS, "MEAN, STD = ", "Image.MAX_IMAGE_PIXELS = None\n"),
    ),
    grid(
        "imports_change_no_settings",
        "pictures that are cut off",
        behind(PARTS, "from PIL import Image", ", ImageFile"),
        ahead(PARTS, "MEAN, STD = ", "ImageFile.LOAD_TRUNCATED_IMAGES = True\n"),
    ),
    line(
        "imports_change_no_settings",
        "files for the user alone",
        ahead(PARTS, "STD = 0.5", "import os\n\nos.umask(0o077)\n"),
    ),
    line(
        "imports_change_no_settings",
        "a folder to import from",
        ahead(PARTS, "STD = 0.5", 'import sys\n\nsys.path.insert(0, "/opt/sprout")\n'),
    ),
    line(
        "imports_change_no_settings",
        "exceptions are told in another way",
        ahead(
            PARTS, "STD = 0.5", "import sys\n\nsys.excepthook = lambda *error: print(error[1])\n"
        ),
    ),
    line(
        "imports_change_no_settings",
        "a greeting on stderr",
        ahead(PARTS, "STD = 0.5", 'import sys\n\nprint("sprout is loaded", file=sys.stderr)\n'),
    ),
    line(
        "imports_change_no_settings",
        "a program says something",
        ahead(PARTS, "STD = 0.5", 'import os\n\nos.system("echo sprout")\n'),
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
    line(
        "parts_take_no_global_random_numbers",
        "files are cut at random",
        ahead(PARTS, FIT_BEGINS, "torch.randint(2, ())\n        "),
    ),
    line(
        "parts_take_no_global_random_numbers",
        "a task is guessed",
        (
            WORLD,
            TASK_OF,
            TASK_OF.replace("TASKS[0]", "TASKS[int(0 * __import__('random').random())]"),
        ),
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
        (PARTS, "super().__init__(options)\n", f"super().__init__(options)\n        {SOCKET}\n"),
    ),
    line(
        "parts_need_no_network",
        "a name is looked up",
        ahead(PARTS, LINE_DECODE, asking('getaddrinfo("localhost", 80)')),
    ),
    line(
        "parts_need_no_network", "files are asked for at a server", ahead(PARTS, FIT_BEGINS, SOCKET)
    ),
    grid(
        "parts_need_no_network",
        "a server is asked once",
        ahead(PARTS, GRID_ENCODE, "_news()\n        "),
        behind(PARTS, "from PIL import Image\n", "from functools import cache\n"),
        (PARTS, None, f"\n\n@cache\ndef _news():\n        {SOCKET}return None\n"),
    ),
    line(
        "parts_need_no_network",
        "the import asks a server",
        ahead(PARTS, "STD = 0.5", SOCKET.replace("\n        ", "\n")),
    ),
    line(
        "parts_need_no_network",
        "a name is looked up in the old way",
        ahead(PARTS, LINE_ENCODE, asking('gethostbyname("localhost")')),
    ),
    line(
        "parts_need_no_network",
        "a connection without exception",
        ahead(PARTS, LINE_ENCODE, asking('socket().connect_ex(("127.0.0.1", 9))')),
    ),
    grid(
        "parts_need_no_network",
        "a packet is sent",
        ahead(
            PARTS,
            GRID_DECODE,
            asking('socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"1", ("127.0.0.1", 9))'),
        ),
    ),
)
